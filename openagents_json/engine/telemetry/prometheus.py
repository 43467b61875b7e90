"""Telemetry in the text format of Prometheus (0.0.4): kept in this process, and read from it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from openagents_json.engine.telemetry.port import Instrument

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

BOUNDS: Final = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000)
"""The upper bounds of the buckets of histograms, in the unit of the instrument; the last bucket has none."""

_MS: Final = "ms"
_PER_SECOND: Final = 1000

Labels = tuple[tuple[str, str], ...]
"""The attributes of a series, by their names."""


@dataclass(slots=True)
class _Values:
    """The values of one series of a histogram: how many fell into each bucket, and their sum."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0


class PrometheusTelemetry:
    """Keeps counters, histograms and gauges, and writes them down when they are asked for; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[Instrument, dict[Labels, int]] = {}
        self._histograms: dict[Instrument, dict[Labels, _Values]] = {}
        self._gauges: dict[Instrument, int] = {}

    def add(
        self, counter: Instrument, amount: int, attributes: Mapping[str, str]
    ) -> None:
        """Add to a counter."""
        labels = _labels(attributes)
        with self._lock:
            series = self._counters.setdefault(counter, {})
            series[labels] = series.get(labels, 0) + amount

    def record(
        self, histogram: Instrument, value: float, attributes: Mapping[str, str]
    ) -> None:
        """Take a value of a histogram in."""
        labels = _labels(attributes)
        with self._lock:
            series = self._histograms.setdefault(histogram, {})
            values = series.setdefault(labels, _Values())
            values.buckets[bisect_left(BOUNDS, value)] += 1
            values.total += value

    def change(self, gauge: Instrument, by: int) -> None:
        """Let a gauge rise or fall."""
        with self._lock:
            self._gauges[gauge] = self._gauges.get(gauge, 0) + by

    def text(self) -> str:
        """Return everything as Prometheus reads it, in an order that stays."""
        with self._lock:
            lines = [
                *(line for each in self._counters for line in self._counter(each)),
                *(line for each in self._histograms for line in self._histogram(each)),
                *(line for each in self._gauges for line in self._gauge(each)),
            ]
        return "\n".join([*lines, ""])

    def _counter(self, counter: Instrument) -> Iterator[str]:
        name = f"{_name(counter)}_total"
        yield from _head(name, counter, "counter")
        for labels, amount in sorted(self._counters[counter].items()):
            yield f"{name}{_braces(labels)} {amount}"

    def _histogram(self, histogram: Instrument) -> Iterator[str]:
        name = _name(histogram)
        yield from _head(name, histogram, "histogram")
        scale = _scale(histogram)
        bounds = [*(_number(bound / scale) for bound in BOUNDS), "+Inf"]
        for labels, values in sorted(self._histograms[histogram].items()):
            count = 0
            for bound, inside in zip(bounds, values.buckets, strict=True):
                count += inside
                yield f"{name}_bucket{_braces((*labels, ('le', bound)))} {count}"
            yield f"{name}_sum{_braces(labels)} {_number(values.total / scale)}"
            yield f"{name}_count{_braces(labels)} {count}"

    def _gauge(self, gauge: Instrument) -> Iterator[str]:
        yield from _head(_name(gauge), gauge, "gauge")
        yield f"{_name(gauge)} {self._gauges[gauge]}"


def _labels(attributes: Mapping[str, str]) -> Labels:
    return tuple(sorted(attributes.items()))


def _name(instrument: Instrument) -> str:
    """Return the name of an instrument in Prometheus, which counts time in seconds."""
    name = instrument.name.replace(".", "_")
    return f"{name}_seconds" if instrument.unit == _MS else name


def _scale(instrument: Instrument) -> int:
    return _PER_SECOND if instrument.unit == _MS else 1


def _head(name: str, instrument: Instrument, kind: str) -> Iterable[str]:
    return (f"# HELP {name} {instrument.description}", f"# TYPE {name} {kind}")


def _braces(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:.12g}"
