"""When the steps of a run were worked on, and when they waited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ATTEMPT: Final = "attempt"


@dataclass(frozen=True, slots=True)
class Span:
    """A time of a step: queued, gated, attempt, retry (the wait for one), wait or group; None ends one that goes on.

    Of an attempt, `end` says how it ended, with its error; `worker` who had it.
    """

    kind: str
    began_ms: int
    ended_ms: int | None = None
    attempt: int = 0
    worker: str = ""
    end: str = ""
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A step and its times, in their order; `kind` is empty for one that workers run."""

    path: str
    kind: str
    spans: tuple[Span, ...]
    status: str

    @property
    def attempts(self) -> tuple[Span, ...]:
        """Return its attempts."""
        return tuple(span for span in self.spans if span.kind == ATTEMPT)


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run and the times of its steps, in the order in which they began; `ended_ms` is None while it is open."""

    run: str
    workflow: str
    status: str
    began_ms: int
    ended_ms: int | None
    now_ms: int
    bars: tuple[Bar, ...]
