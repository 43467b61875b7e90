"""Telemetry in the memory of this process, for tests and for a look at a running program."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from openagents_json.engine.telemetry.port import Instrument

Series = tuple[str, frozenset[tuple[str, str]]]
"""The name of an instrument, with attributes."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What values came to."""

    count: int = 0
    total: float = 0.0
    largest: float = 0.0


class InMemoryTelemetry:
    """Keeps what was counted, and of values how many there were, their sum and the largest; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Series, int] = defaultdict(int)
        self._summaries: defaultdict[Series, Summary] = defaultdict(Summary)

    def add(
        self, counter: Instrument, amount: int, attributes: Mapping[str, str]
    ) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[_series(counter.name, attributes)] += amount

    def record(
        self, histogram: Instrument, value: float, attributes: Mapping[str, str]
    ) -> None:
        """Take a value of a histogram in."""
        series = _series(histogram.name, attributes)
        with self._lock:
            self._summaries[series] = _merged(
                self._summaries[series], Summary(1, value, value)
            )

    def count(self, name: str, **attributes: str) -> int:
        """Return what a counter has come to, over all series with these attributes."""
        with self._lock:
            return sum(
                amount
                for series, amount in self._counts.items()
                if _is_of(series, name, attributes)
            )

    def summary(self, name: str, **attributes: str) -> Summary:
        """Return what the values of a histogram have come to, over all series with these attributes."""
        out = Summary()
        with self._lock:
            for series, summary in self._summaries.items():
                out = _merged(out, summary) if _is_of(series, name, attributes) else out
        return out


def _series(name: str, attributes: Mapping[str, str]) -> Series:
    return name, frozenset(attributes.items())


def _is_of(series: Series, name: str, attributes: Mapping[str, str]) -> bool:
    return series[0] == name and series[1] >= attributes.items()


def _merged(one: Summary, other: Summary) -> Summary:
    return Summary(
        one.count + other.count,
        one.total + other.total,
        max(one.largest, other.largest),
    )
