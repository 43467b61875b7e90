"""Telemetry by the metrics of OpenTelemetry; needs its API (`pip install openagents-json[otel]`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version

from opentelemetry.metrics import Meter, get_meter

from openagents_json.engine.telemetry.port import COUNTERS, HISTOGRAMS, Instrument


class OpenTelemetry:
    """Counts and times by the instruments of a meter; without one, of the meter provider that the program has set."""

    def __init__(self, meter: Meter | None = None) -> None:
        meter = meter or get_meter("openagents_json", version("openagents-json"))
        self._counters = {counter: meter.create_counter(*counter) for counter in COUNTERS}
        self._histograms = {histogram: meter.create_histogram(*histogram) for histogram in HISTOGRAMS}

    def add(self, counter: Instrument, amount: int, attributes: Mapping[str, str]) -> None:
        """Add to a counter."""
        self._counters[counter].add(amount, attributes)

    def record(self, histogram: Instrument, value: float, attributes: Mapping[str, str]) -> None:
        """Take a value of a histogram in."""
        self._histograms[histogram].record(value, attributes)
