"""Limits of one input while a campaign runs: an input that does not end, or that fills the memory, is a fault too."""

from __future__ import annotations

import faulthandler
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.fuzz.campaign import Target

CPU_SECONDS = 20.0
"""More than the largest document and the dearest expression need, of this process: a busy machine is no fault."""

WALL_SECONDS = 60.0
"""For what waits instead of working."""

GROWTH = 1024**3
"""By how many bytes one input may make the process grow."""


class Hangs(BaseException):
    """An input took too long; no `except Exception` of what is tested can swallow it."""


class Grows(BaseException):
    """An input filled the memory."""


class Watch:
    """Checks inputs under limits, and leaves each in a file meanwhile: what kills the process is known then."""

    def __init__(self, current: Path) -> None:
        self._current = current
        current.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, target: Target, raw: bytes) -> str:
        """Check an input."""
        self._current.write_bytes(raw)
        before = peak()
        try:
            with limited():
                outcome = target.check(raw)
        finally:
            self._current.unlink()
        grown = peak() - before
        if grown > GROWTH:
            raise Grows(f"this input made the process grow by {grown // 1024**2} MiB")
        return outcome


def peak() -> int:
    """Return how many bytes of memory the process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


@contextmanager
def limited() -> Iterator[None]:
    """Let what takes too long end as Hangs; the process ends where even that does not help."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise Hangs(f"this input did not end ({signal.Signals(number).name})")

    before = {
        number: signal.signal(number, ended)
        for number in (signal.SIGVTALRM, signal.SIGALRM)
    }
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
    faulthandler.dump_traceback_later(2 * WALL_SECONDS, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
