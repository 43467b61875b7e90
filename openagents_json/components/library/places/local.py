"""Files below one directory, reached folder by folder: no link is followed, whoever changes the folders meanwhile.

A path that is resolved and checked first may lead elsewhere when it is opened. So each folder is opened from the one
above it, by descriptor, and refused if it is a link.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.places.paths import PART, part_of, parts_of

_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | os.O_CLOEXEC
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_TRANSIENT: Final = (
    errno.EIO,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.ESTALE,
)


@dataclass(frozen=True, slots=True)
class Directory:
    """Files below one directory of this machine."""

    root: str

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return the content of a file."""
        return read(self.root, path, max_bytes)

    def write(self, path: str, content: bytes, step: str, attempt: int) -> None:
        """Write a file."""
        write(self.root, path, content, step, attempt)

    def entries(self, path: str) -> Iterator[dict[str, Any]]:
        """Give name, type and size of what is in a directory."""
        return entries(self.root, path)


def read(root: str, path: str, max_bytes: int) -> bytes:
    """Return the content of a file.

    Raises NonRetryableError and RetryableError.
    """
    *folders, name = parts_of(path)
    with _told(path), _folder(root, folders) as folder:
        # Without O_NONBLOCK, a pipe would be waited for.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | _NO_LINK
        with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NonRetryableError(f"{path!r} is no file")
            content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise NonRetryableError(f"{path!r} is larger than {max_bytes} bytes")
    return content


def write(
    root: str,
    path: str,
    content: bytes,
    step: str,
    attempt: int,
    put: Callable[..., None] = os.replace,
) -> None:
    """Write a file beside the place where it belongs, then put it there: others see the old one or the new one.

    Each attempt of a step writes a file of its own, so that one that is late does not write into that of another.
    Raises NonRetryableError and RetryableError.
    """
    *folders, name = parts_of(path)
    with _told(path), _folder(root, folders, make=True) as folder:
        # Attempts before this one may have been killed; one that is only late cannot put its file there any more.
        for earlier in range(1, attempt + 1):
            _remove(part_of(step, path, earlier), folder)
        part = part_of(step, path, attempt)
        try:
            _write_new(part, folder, content)
            # A link of this name is replaced, not followed.
            put(part, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _remove(part, folder)
            raise
        os.fsync(folder)


def _write_new(part: str, folder: int, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | _NO_LINK
    with os.fdopen(os.open(part, flags, 0o666, dir_fd=folder), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _remove(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return


def entries(root: str, path: str) -> Iterator[dict[str, Any]]:
    """Give name, type and size of what is in a directory; links and what is not whole yet are left out.

    Raises NonRetryableError and RetryableError.
    """
    folders = parts_of(path) if path else []
    with _told(path), _folder(root, folders) as folder, os.scandir(folder) as inside:
        for entry in inside:
            if entry.name.startswith(PART) or entry.is_symlink():
                continue
            if entry.is_dir(follow_symlinks=False):
                yield {"name": entry.name, "type": "directory", "size": 0}
            elif entry.is_file(follow_symlinks=False):
                size = entry.stat(follow_symlinks=False).st_size
                yield {"name": entry.name, "type": "file", "size": size}


@contextmanager
def _folder(root: str, folders: list[str], *, make: bool = False) -> Iterator[int]:
    """Open a folder, one after another from the root; it is closed afterwards."""
    folder = os.open(
        root, _FOLDER
    )  # the root itself may be a link: the worker's operator has named it
    try:
        for name in folders:
            if make:
                _make(name, folder)
            inner = os.open(name, _FOLDER | _NO_LINK, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, dir_fd=folder)
    except FileExistsError:
        return


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Tell what the system says of a file as an error of the step, without the place of the directory."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            reason = "it goes through a link, or through what is no directory"
        message = f"{path!r} cannot be used: {reason}"
        if error.errno in _TRANSIENT:
            raise RetryableError(message) from None
        raise NonRetryableError(message) from None
    except UnicodeEncodeError:
        raise NonRetryableError(f"{path!r} cannot be the name of a file") from None
