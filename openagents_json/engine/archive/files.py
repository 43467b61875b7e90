"""Files of the archive, on a disk or in an object store: whatever fsspec knows."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from pathlib import Path
from typing import IO, Any, Final

from eventstore.errors import InvalidRequest
from eventstore.private_files import make_directory, replacing
from openagents_json.engine.errors import ArchiveUnreachable
from openagents_json.errors import FileUnusable

MOST_BYTES: Final = 3 * 1024**3
"""A file has at most so many bytes: more than a capsule that can be unpacked."""

_PIECE: Final = 1024**2


def write(url: str, source: IO[bytes]) -> None:
    """Write a file, piece by piece, under a name of its own first: so there is never half of one.

    Raises ArchiveUnreachable.
    """
    files, path = _open(url)
    if _is_local(files):
        return _write_here(url, Path(path), source)
    fresh = f"{path}.{uuid.uuid5(uuid.NAMESPACE_URL, url).hex[:8]}.part"
    try:
        files.makedirs(files._parent(path), exist_ok=True)
        with files.open(fresh, "wb") as file:
            shutil.copyfileobj(source, file, _PIECE)
        files.mv(fresh, path)
    except Exception as error:  # each file system has errors of its own
        with contextlib.suppress(Exception):
            files.rm_file(fresh)
        raise ArchiveUnreachable(url, f"{type(error).__name__}: {error}") from None


def _is_local(files: Any) -> bool:
    return "file" in (
        files.protocol if isinstance(files.protocol, tuple) else (files.protocol,)
    )


def _write_here(url: str, path: Path, source: IO[bytes]) -> None:
    """Write a file of this machine, which nobody else may read."""
    try:
        make_directory(path.parent)
        with replacing(path) as file:
            shutil.copyfileobj(source, file, _PIECE)
    except FileUnusable as error:
        raise ArchiveUnreachable(url, str(error)) from None
    except OSError as error:
        raise ArchiveUnreachable(url, f"{type(error).__name__}: {error}") from None


def read(url: str, into: IO[bytes], *, limit: int = MOST_BYTES) -> str:
    """Read a file, piece by piece, into another one, and give its SHA-256.

    It has at most `limit` bytes, also where something is unpacked on the way, as from `zip://`. Raises
    ArchiveUnreachable.
    """
    files, path = _open(url)
    digest = hashlib.sha256()
    size = 0
    try:
        files.invalidate_cache()
        with files.open(path, "rb") as file:
            while piece := file.read(min(_PIECE, limit + 1 - size)):
                size += len(piece)
                digest.update(piece)
                into.write(piece)
    except FileNotFoundError:
        raise ArchiveUnreachable(url, "there is no such file") from None
    except Exception as error:  # each file system has errors of its own
        raise ArchiveUnreachable(url, f"{type(error).__name__}: {error}") from None
    if size > limit:
        raise ArchiveUnreachable(
            url, f"it has more than {limit} bytes, which is the most that is read"
        )
    return digest.hexdigest()


def remove(url: str) -> None:
    """Remove a file that nobody needs; one that cannot be removed does no harm."""
    files, path = _open(url)
    with contextlib.suppress(Exception):  # each file system has errors of its own
        files.rm_file(path)


def _open(url: str) -> tuple[Any, str]:
    import fsspec  # imported for who uses an archive

    try:
        files, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise ArchiveUnreachable(
            url, f"{error}; install the driver of this kind of place"
        ) from None
    except ValueError as error:
        raise ArchiveUnreachable(url, str(error)) from None
    return files, path


def lasting(url: str) -> str:
    """Return a place of the archive, if what is written there outlives this process.

    fsspec's `memory` does not, whatever lies around it. Raises InvalidRequest.
    """
    is_in_memory = any(layer.partition(":")[0] == "memory" for layer in url.split("::"))
    if is_in_memory:
        raise InvalidRequest(
            "what is in memory:// ends with this process, and the runs with it: name a folder or a server"
        )
    return url
