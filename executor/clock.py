"""The only place that reads clocks and randomness."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import time
from collections.abc import Callable
from typing import Protocol

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]


class Clock(Protocol):
    """Two clocks: the wall's, for people, and a steady one, for waiting."""

    def now_ms(self) -> int:
        """Return the time since the epoch in ms."""
        ...

    def steady_ms(self) -> float:
        """Return a time that never goes back, in ms."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        """Return the time since the epoch in ms."""
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> float:
        """Return a time that never goes back, in ms."""
        return time.monotonic() * 1000


def _base32(number: int, length: int) -> str:
    shifts = range(10 * ((length - 1) // 2), -1, -10)
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in shifts])[-length:]


def ulid(now_ms: int) -> str:
    """Make an id that sorts by time: 48 bits of time, 80 random ones (the ULID layout, lower case)."""
    return _base32(now_ms & (1 << 48) - 1, 10) + _base32(secrets.randbits(80), 16)


def commit_ids() -> Callable[[], str]:
    """Make a source of commit ids: unique in all processes, also after a fork, and short."""
    # Imported here: whoever reads the clock alone needs no store.
    from eventstore.redis.driver.forking import tell_of_forks

    ids = _CommitIds()
    tell_of_forks(ids)
    return ids


class _CommitIds:
    def __init__(self) -> None:
        self.inherit()

    def inherit(self) -> None:
        """Begin anew in a forked child: its parent goes on with the ids that it has begun with."""
        self._source = _base32(secrets.randbits(60), 12), itertools.count()

    def __call__(self) -> str:
        """Return the next id."""
        prefix, numbers = self._source
        return f"{prefix}-{next(numbers):x}"


def worker_id(name: str = "") -> str:
    """Name this process: host, process id, and a random part, because process ids come again."""
    host = socket.gethostname().replace("|", "-")
    return f"{name or host}:{os.getpid()}:{_base32(secrets.randbits(25), 5)}"
