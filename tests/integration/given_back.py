"""What workers give back: on a busy machine a step takes long, and what waits behind it in its worker is for others."""

from __future__ import annotations

from openagents_json.engine import Engine

COST = 3
"""Events of a step that is given back: StepReleased, StepRetryScheduled, and the StepStarted of who takes it then."""


def given_back(engine: Engine, run: str) -> int:
    """Return how many steps of a run were given back: as many as the machine was busy, which no test counts."""
    return sum(event.type == "StepReleased" for event in engine.history(run))
