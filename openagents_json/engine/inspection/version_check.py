"""`workflows check`: a new version of a workflow against the runs of the old ones, live and recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.event import Recorded
from eventstore.redis.upkeep.inspection import Inspector
from openagents_json.engine.documents import Document
from openagents_json.statuses import CLOSED_RUN
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.history.conformance import first_difference

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine


@dataclass(frozen=True, slots=True)
class Differing:
    """A run that the new version would not have led to: the event where it leaves it, and why."""

    run: str
    status: str
    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class VersionCheck:
    """What a check found: how many runs were looked at, and those that would have gone another way."""

    workflow: str
    looked_at: int
    live: int
    differing: tuple[Differing, ...]

    def lines(self) -> list[str]:
        """Say it for people."""
        told = [
            f"{d.run} ({d.status}): event {d.version}: {d.reason}"
            for d in self.differing
        ]
        rest = self.looked_at - len(self.differing)
        return [
            *told,
            f"{self.workflow}: {rest} of {self.looked_at} runs fit ({self.live} of them live)",
        ]


def check_version(
    engine: Engine, workflow: Document, *, limit: int = 1000
) -> VersionCheck:
    """Replay the latest runs of a workflow against a document of the same id, but for those that were erased.

    Raises InvalidDefinition.
    """
    plan = engine.plan(workflow)
    runs = engine.runs(limit=limit, workflow=plan.id)
    by_id = {run.id: run for run in runs}
    differing = []
    looked_at = live = 0
    # Histories come a few at a time: they may be long.
    for run, history in Inspector(engine.core.store).histories(by_id):
        if _is_erased(history):
            continue
        status = by_id[run].status
        looked_at += 1
        live += status not in CLOSED_RUN
        decoded = engine.core.sessions.payloads.decode(history)
        difference = first_difference(plan, decoded)
        if difference is not None:
            differing.append(
                Differing(run, status, difference.version, difference.reason)
            )
    return VersionCheck(plan.id, looked_at, live, tuple(differing))


def _is_erased(history: Sequence[Recorded]) -> bool:
    """Tell whether payloads of a run are no more, so that nobody can say what it would do with them."""
    return any(item.type == ev.RunRedacted.__name__ for item in history)
