"""Steps that a signal lets go on, in all runs: what waits for people."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from openagents_json.engine.answers.waits import StepWait, WaitingStep
from openagents_json.engine.inspection.overview import overview
from openagents_json.engine.inspection.queries import Queries
from openagents_json.engine.inspection.replay import Replays
from openagents_json.errors import NotFound

if TYPE_CHECKING:
    from openagents_json.engine.answers.lists import OpenStep

RUNS_AT_HAND: Final = 16


def waiting(views: Queries, replays: Replays, limit: int) -> list[WaitingStep]:
    """Return the steps that wait for a signal, longest first.

    Raises ViewBehind.
    """
    steps = sorted(views.steps(status="wait"), key=attrgetter("since_ms"))
    return list(islice(_waiting(steps, replays), limit))


def _waiting(steps: list[OpenStep], replays: Replays) -> Iterator[WaitingStep]:
    # Many steps of one run may wait, each as long as the next: the run is looked at once.
    waits_of = lru_cache(RUNS_AT_HAND)(partial(_waits_of, replays))
    for step in steps:
        wait = waits_of(step.run).get(step.step)
        if wait is not None and wait.signals:
            yield WaitingStep(
                run=step.run, workflow=step.workflow, since_ms=step.since_ms, wait=wait
            )


def _waits_of(replays: Replays, run: str) -> dict[str, StepWait]:
    try:
        waits = overview(run, replays).waits
    except NotFound:  # it has left the store since the view was read
        return {}
    return {wait.step: wait for wait in waits}
