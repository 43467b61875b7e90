"""Files and directories that nobody but their owner may read: whose they are is checked before anything is done there.

A directory is tightened first and looked into then: once it is closed to others, what was seen in it stays as it was.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from eventstore.errors import NotPrivate
from openagents_json.errors import file_errors

PRIVATE_DIRECTORY: Final = 0o700
PRIVATE_FILE: Final = 0o600
OTHERS: Final = 0o077
"""The umask of whatever makes private files, and the bits that those may not have."""

_OPEN_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICES: Final = ("/dev/", "/proc/")


def make_directory(path: Path) -> None:
    """Make a directory that is private, and those above it that are missing.

    Raises OSError.
    """
    for missing in [
        *reversed([x for x in path.parents if not os.path.lexists(x)]),
        path,
    ]:
        with suppress(
            FileExistsError
        ):  # somebody else may make it at the same time: whose it is, is looked at next
            missing.mkdir(PRIVATE_DIRECTORY)


@contextmanager
def own_directory(path: Path) -> Iterator[int]:
    """Open a directory that is this user's, and close it to all others.

    Raises NotPrivate for a link and for a directory of somebody else, and FileNotFoundError.
    """
    seen = path.lstat()  # by its name first, as somebody else's may not be ours to open
    _check(path, seen)
    try:
        handle = os.open(path, _OPEN_DIRECTORY)
    except OSError as error:
        is_link = error.errno in (errno.ELOOP, errno.ENOTDIR) and path.is_symlink()
        if is_link:
            raise _link(path) from None
        raise
    try:
        status = os.fstat(handle)
        _check(path, status)
        if status.st_mode & stat.S_ISVTX:
            raise NotPrivate(
                f"{path} is shared by many users",
                remedy=f"choose a directory below it, as {path / 'openagents'}",
            )
        yield handle
    finally:
        os.close(handle)


def close_to_others(handle: int) -> None:
    """Take from others what they may do in an open directory of ours; not every file system has modes."""
    if os.fstat(handle).st_mode & OTHERS:
        with suppress(OSError):
            os.fchmod(handle, PRIVATE_DIRECTORY)


def tighten(path: Path, handle: int, names: Iterable[str]) -> None:
    """Check and tighten files in a directory that is closed to others; what is not there is left out.

    Raises NotPrivate for links and for files of somebody else.
    """
    for name in names:
        try:
            status = os.stat(name, dir_fd=handle, follow_symlinks=False)
        except FileNotFoundError:
            continue
        _check(path / name, status)
        if status.st_mode & OTHERS:
            with suppress(OSError):
                os.chmod(name, stat.S_IMODE(status.st_mode) & ~OTHERS, dir_fd=handle)


def open_private(path: Path, mode: str) -> IO[Any]:
    """Open a file of ours, made private when it is new; a link is never followed, and a pipe never waited for.

    Raises NotPrivate.
    """

    def opener(name: str, flags: int) -> int:
        handle = os.open(
            name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, PRIVATE_FILE
        )
        try:
            _check_file(path, handle)
        except BaseException:
            os.close(handle)
            raise
        return handle

    try:
        return open(path, mode, opener=opener)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from None
        raise


def _check_file(path: Path, handle: int) -> None:
    status = os.fstat(handle)
    _check(path, status)
    if not stat.S_ISREG(status.st_mode):
        raise NotPrivate(
            f"{path} is no ordinary file",
            remedy="remove it",
        )
    if status.st_mode & OTHERS:
        with suppress(OSError):
            os.fchmod(handle, PRIVATE_FILE)


def is_there(path: Path) -> bool:
    """Tell whether there is something of that name.

    Raises FileUnusable where nobody may look.
    """
    with file_errors(path, "name a place that can be looked into"):
        return path.exists()


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a private file: afterwards there is the old one or the whole new one, and never a part of it.

    What is no file, as a pipe or a terminal, is written to as it is. Raises FileUnusable.
    """
    with (
        file_errors(
            path, "name a file in a directory that can be written, with room for it"
        ),
        _replacing(path) as out,
    ):
        yield out


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    if _is_device(path):
        with path.open("wb") as device:
            yield device
        return
    handle = _without_a_name(path.parent)
    name = ""
    if handle < 0:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=_prefix(path)
        )  # 0600, whatever the umask is
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            name = name or _named(file.fileno(), path)
        Path(name).replace(path)
    except BaseException:
        if name:
            Path(name).unlink(missing_ok=True)
        raise


@contextmanager
def spool() -> Iterator[IO[bytes]]:
    """Open a private file without a name, for what is too large to be held; it is gone when it is closed, or we are.

    Raises FileUnusable.
    """
    where = f"a temporary file in {tempfile.gettempdir()}"
    with (
        file_errors(where, "make room there, or let TMPDIR name another directory"),
        tempfile.TemporaryFile() as file,
    ):
        yield file


def _prefix(path: Path) -> str:
    return f".{path.name[:200]}."


def _without_a_name(directory: Path) -> int:
    """Open a new file that is gone with its process, as after `kill -9`; -1 where the system or the place has none."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not Path("/proc/self/fd").is_dir():
        return -1
    try:
        return os.open(directory, flag | os.O_RDWR | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            return -1
        raise


def _named(handle: int, path: Path) -> str:
    """Return a whole file a name beside the one that it gets: only a file that has one can replace another."""
    name = str(path.parent / f"{_prefix(path)}{secrets.token_hex(8)}")
    os.link(
        f"/proc/self/fd/{handle}", name, src_dir_fd=handle
    )  # to name a directory has Python follow the link
    return name


def _is_device(path: Path) -> bool:
    try:
        kind = path.stat().st_mode
    except OSError:
        return False
    if str(path.absolute()).startswith(_DEVICES):
        return True
    return not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def _check(path: Path, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise _link(path)
    if status.st_uid != os.geteuid():
        raise NotPrivate(
            f"{path} belongs to {_user(status.st_uid)}, and this is {_user(os.geteuid())}: whoever owns it "
            "can change what is read there",
            remedy=(
                "run this as that user, give it to yourself with chown, or choose a directory of yours"
            ),
        )


def _link(path: Path) -> NotPrivate:
    return NotPrivate(
        f"{path} is a symbolic link; name what it leads to ({_target(path)}), or remove it"
    )


def _target(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return "unknown"


def _user(uid: int) -> str:
    import pwd

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:  # as in containers
        return f"user number {uid}"
