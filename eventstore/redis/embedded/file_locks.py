"""Locks on files that are waited for only as long as one of us may hold them.

Whoever can read a file can lock it. So who holds a lock of ours for long says so in the file, where only its owner can
write; a lock that is held by nobody who says so is waited for a bounded time.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from eventstore.errors import LockHeld

LOCK_SECONDS: Final = 10.0
"""How long a lock is waited for that none of this user's live processes says to hold."""

_PAUSE: Final = 0.02


def acquire(file: IO[Any], kind: int, seconds: float = LOCK_SECONDS) -> None:
    """Lock a file, shared or exclusively.

    Raises LockHeld when nobody of ours says to hold it, and it is not given back for so many seconds.
    """
    pause = threading.Event()
    most = max(1, int(seconds / _PAUSE))
    tries = most
    while True:
        try:
            return fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            # One of ours says so a moment after it has the lock: only who never does is a stranger.
            tries = most if _is_ours(_holder(file)) else tries - 1
        if not tries:
            raise LockHeld(
                f"another program, maybe of another user, holds the lock {file.name} for more than {seconds:g} s",
                remedy=(
                    f"`fuser -v {file.name}` or `lslocks` names it: end it, and try again"
                ),
            )
        pause.wait(_PAUSE)


@contextmanager
def held(file: IO[Any], seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the exclusive lock of a file, and say so in it, until the block ends; the file is closed then.

    Raises LockHeld.
    """
    try:
        acquire(file, fcntl.LOCK_EX, seconds)
        say_holder(file)
        try:
            yield
        finally:
            # First the name goes, then the lock: the other way around, the name of the next holder would be wiped.
            os.ftruncate(file.fileno(), 0)
    finally:
        file.close()


def say_holder(file: IO[Any]) -> None:
    """Say in a locked file that this process holds it."""
    # The file is open for appending, so what is written to the emptied file stands at its beginning.
    os.ftruncate(file.fileno(), 0)
    os.write(file.fileno(), str(os.getpid()).encode())


def _holder(file: IO[Any]) -> int:
    text = os.pread(file.fileno(), 20, 0)
    if text.isdigit():
        return int(text)
    return 0


def _is_ours(pid: int) -> bool:
    """Tell whether a process is alive and this user's."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.geteuid()
    except OSError:  # a system without /proc: that it takes a signal has to do
        return True
