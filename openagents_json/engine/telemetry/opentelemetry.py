"""Telemetry by the metrics of OpenTelemetry; needs its API (`pip install openagents-json[otel]`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TypeVar

from opentelemetry.metrics import Counter, Histogram, Meter, get_meter

from openagents_json.engine.telemetry.port import Instrument

T = TypeVar("T", Counter, Histogram)


class OpenTelemetry:
    """Counts and times by the instruments of a meter; without one, of the meter provider that the program has set."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter or get_meter("openagents_json", version("openagents-json"))
        self._counters: dict[Instrument, Counter] = {}
        self._histograms: dict[Instrument, Histogram] = {}
        self._lock = threading.Lock()

    def add(
        self, counter: Instrument, amount: int, attributes: Mapping[str, str]
    ) -> None:
        """Add to a counter."""
        self._of(self._counters, counter, self._meter.create_counter).add(
            amount, attributes
        )

    def record(
        self, histogram: Instrument, value: float, attributes: Mapping[str, str]
    ) -> None:
        """Take a value of a histogram in."""
        self._of(self._histograms, histogram, self._meter.create_histogram).record(
            value, attributes
        )

    def _of(
        self,
        there: dict[Instrument, T],
        instrument: Instrument,
        create: Callable[[str, str, str], T],
    ) -> T:
        with self._lock:  # a meter complains of an instrument that two threads create
            if instrument not in there:
                there[instrument] = create(*instrument)
            return there[instrument]
