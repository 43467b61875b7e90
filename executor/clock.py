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
    return "".join(
        _CROCKFORD[(number >> (5 * i)) & 31] for i in reversed(range(length))
    )


def ulid(now_ms: int) -> str:
    """Make an id that sorts by time: 48 bits of time, 80 random ones (the ULID layout, lower case)."""
    return _base32(now_ms & (1 << 48) - 1, 10) + _base32(secrets.randbits(80), 16)


def commit_ids() -> Callable[[], str]:
    """Make a source of commit ids: unique in all processes, also after a fork, and short."""
    state: dict[int, tuple[str, itertools.count[int]]] = {}

    def next_id() -> str:
        pid = os.getpid()
        if pid not in state:
            state[pid] = (_base32(secrets.randbits(60), 12), itertools.count())
        prefix, counter = state[pid]
        return f"{prefix}-{next(counter):x}"

    return next_id


def worker_id(name: str = "") -> str:
    """Name this process: host, process id, and a random part, because process ids come again."""
    host = socket.gethostname().replace("|", "-")
    return f"{name or host}:{os.getpid()}:{_base32(secrets.randbits(25), 5)}"
