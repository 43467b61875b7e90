"""How far a schedule has come: what has fired, what waits for its turn, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a schedule has come: the next nominal time, the last run, firings that wait, what became of others.

    `last_ms` is the nominal time of the last run, `since_ms` when it was started.
    """

    anchor_ms: int
    next_ms: int | None
    last_run: str = ""
    last_ms: int = 0
    waiting: tuple[int, ...] = ()
    started: int = 0
    skipped: int = 0
    missed: int = 0
    error: str = ""
    since_ms: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "waiting": list(self.waiting)
        }


def progress_of(data: Mapping[str, Any]) -> Progress:
    """Read how far a schedule has come."""
    values = {key: value for key, value in data.items() if key in Progress.__slots__}
    return Progress(**{**values, "waiting": tuple(values.get("waiting", ()))})
