"""Names of files below a root: no path leads out of it, and what is not written whole has names of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final, Protocol

from openagents_json.components.errors import NonRetryableError

PART: Final = ".openagents-"
"""How the names of files begin that are not written whole; they are not listed."""


class Place(Protocol):
    """Where files are."""

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a file."""
        ...

    def write(self, path: str, content: bytes, step: str, attempt: int) -> None:
        """Write a file, whole or not at all."""
        ...

    def entries(self, path: str) -> Iterator[dict[str, Any]]:
        """Give name, type and size of what is in a directory."""
        ...


def parts_of(path: str) -> list[str]:
    """Return the names of a path.

    Raises NonRetryableError.
    """
    parts = path.split("/")
    wrong = any(part in ("", ".", "..") for part in parts)
    if wrong or "\0" in path or parts[-1].startswith(PART):
        raise NonRetryableError(
            f"{path!r} is no path of a file here: give names with / between them, without . and .."
        )
    return parts


def part_of(step: str, path: str, attempt: int) -> str:
    """Return the name under which an attempt writes a file before it is put into its place."""
    own = hashlib.sha256(f"{step}/{path}".encode(errors="replace")).hexdigest()
    return f"{PART}{own[:24]}-{attempt}.part"
