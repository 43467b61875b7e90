"""Files below a URL, such as s3://bucket/folder: whatever fsspec has a driver for.

Errors name the path below the URL and never the URL, which may hold a password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.components.errors import (
    ComponentError,
    NonRetryableError,
    RetryableError,
)
from openagents_json.components.library.permissions import FILES
from openagents_json.components.library.places.paths import PART, part_of, parts_of

_WHOLE_AT_ONCE: Final = frozenset(
    {"memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci"}
)
"""Kinds of places in which a file appears when all of it has been written."""

_LASTING: Final = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    FileExistsError,
    NotImplementedError,
)
"""What another attempt would not mend."""


@dataclass(frozen=True, slots=True)
class Remote:
    """Files below one URL."""

    url: str

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a file.

        Raises NonRetryableError and RetryableError.
        """
        parts_of(path)
        with self._opened(path) as (files, full), files.open(full, "rb") as file:
            content: bytes = file.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise NonRetryableError(f"{path!r} is larger than {max_bytes} bytes")
        return content

    def write(self, path: str, content: bytes, step: str, attempt: int) -> None:
        """Write a file, whole or not at all as far as the place can.

        Raises NonRetryableError and RetryableError.
        """
        *_, name = parts_of(path)
        with self._opened(path) as (files, full):
            folder = full.removesuffix(name)
            files.makedirs(folder.rstrip("/"), exist_ok=True)
            if _WHOLE_AT_ONCE & set(_protocols(files)):
                files.pipe_file(full, content)
                return
            part = f"{folder}{part_of(step, path, attempt)}"
            try:
                files.pipe_file(part, content)
                files.mv(part, full)
            except BaseException:
                with suppress(Exception):
                    files.rm_file(part)
                raise

    def entries(self, path: str) -> Iterator[dict[str, Any]]:
        """Give name, type and size of what is in a directory.

        Raises NonRetryableError and RetryableError.
        """
        if path:
            parts_of(path)
        with self._opened(path) as (files, full):
            listed = self._listed(files, full, is_root=not path)
        for entry in listed:
            name = str(entry["name"]).rstrip("/").rpartition("/")[2]
            kind = entry.get("type")
            if kind in ("file", "directory") and not name.startswith(PART):
                size = int(entry.get("size") or 0) if kind == "file" else 0
                yield {"name": name, "type": kind, "size": size}

    def _listed(self, files: Any, full: str, *, is_root: bool) -> list[Any]:
        try:
            listed: list[Any] = files.ls(full, detail=True)
        except FileNotFoundError:
            # Object stores know no empty folder.
            if is_root:
                return []
            raise
        if [entry["name"].strip("/") for entry in listed] == [full.strip("/")]:
            raise NotADirectoryError
        return listed

    @contextmanager
    def _opened(self, path: str) -> Iterator[tuple[Any, str]]:
        """Give the file system and the whole name of a path; what goes wrong is told as an error of the step."""
        import fsspec  # imported for who uses a place of that kind

        try:
            files, root = fsspec.core.url_to_fs(self.url)
            files.invalidate_cache()
            yield files, f"{root.rstrip('/')}/{path}".rstrip("/") or "/"
        except ComponentError:
            raise
        except ImportError as error:
            raise NonRetryableError(
                f"the driver of the place that {FILES} names is not installed where the worker runs: {error.name}"
            ) from None
        except _LASTING as error:
            reason = type(error).__name__.removesuffix("Error")
            raise NonRetryableError(f"{path!r} cannot be used: {reason}") from None
        except Exception as error:  # each file system has errors of its own
            raise RetryableError(
                f"{path!r} cannot be used: {type(error).__name__}"
            ) from None


def _protocols(files: Any) -> tuple[str, ...]:
    protocol = files.protocol
    if isinstance(protocol, str):
        return (protocol,)
    return tuple(protocol)
