"""Telemetry, the port to whoever counts and times for a program, and all that there is to count and to time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol


class Instrument(NamedTuple):
    """Something that is counted or timed; the values of its attributes are few, so that each may be a series."""

    name: str
    unit: str
    description: str


class Telemetry(Protocol):
    """Takes numbers in, from many threads; whatever it raises is logged, and changes nothing in the engine."""

    def add(self, counter: Instrument, amount: int, attributes: Mapping[str, str]) -> None:
        """Add to one of the COUNTERS."""
        ...

    def record(self, histogram: Instrument, value: float, attributes: Mapping[str, str]) -> None:
        """Take a value of one of the HISTOGRAMS in."""
        ...


COMMITS: Final = Instrument("openagents.commits", "{commit}", "Commits, by source and outcome")
EVENTS: Final = Instrument("openagents.events", "{event}", "Events that were written to runs, by source")
ASKED: Final = Instrument("openagents.claims.asked", "{step}", "Steps for which there was room at a claim, by queue")
STARTED: Final = Instrument("openagents.claims", "{step}", "Attempts that began, by queue and way")
LEASES: Final = Instrument("openagents.leases.extended", "{lease}", "Leases in heartbeats, by outcome")
DUE: Final = Instrument("openagents.due", "{member}", "What time has brought, by kind")
ERRORS: Final = Instrument("openagents.store.errors", "{error}", "Errors of the store, by operation and error code")

COUNTERS: Final = (COMMITS, EVENTS, ASKED, STARTED, LEASES, DUE, ERRORS)

CLAIM_WAIT: Final = Instrument("openagents.claims.wait", "ms", "From ready to claimed, of first attempts, by queue")
READY_AGE: Final = Instrument("openagents.ready.age", "ms", "Age of the oldest ready step of a partition, by queue")
STORE_CALL: Final = Instrument("openagents.store.call", "ms", "Calls of the store of runs, by operation")
PROJECTION_LAG: Final = Instrument(
    "openagents.projection.lag", "{event}", "Events of a partition that a view is behind the log, by projection"
)

HISTOGRAMS: Final = (CLAIM_WAIT, READY_AGE, STORE_CALL, PROJECTION_LAG)
