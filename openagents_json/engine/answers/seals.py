"""How far the ledger has come in a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunSeal:
    """Of the `events` of a run, the first `signed` are sealed and signed, and the first `sealed` at least sealed."""

    events: int
    signed: int
    sealed: int
