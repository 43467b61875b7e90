"""Telemetry, the port to whoever counts and times for a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Instrument(NamedTuple):
    """Something that is counted or timed, said where that happens; its attributes have few values, known beforehand."""

    name: str
    unit: str
    description: str


class Telemetry(Protocol):
    """Takes numbers in, from many threads; whatever it raises is logged, and changes nothing in the engine."""

    def add(
        self, counter: Instrument, amount: int, attributes: Mapping[str, str]
    ) -> None:
        """Add to a counter."""
        ...

    def record(
        self, histogram: Instrument, value: float, attributes: Mapping[str, str]
    ) -> None:
        """Take a value of a histogram in."""
        ...
