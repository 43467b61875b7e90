"""Commits, claims and looks at what is due, as the contract of RunStore makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from eventstore import codec
from eventstore.event import Json
from eventstore.run_model import Claimed, ClaimRequest, Commit, Committed, Lease
from eventstore.runs import RunStore
from openagents_json.work_index import STARTED, DueKind, IndexChanges, ReadyStep

Later = Callable[[int], None]
"""Lets so many ms pass in a store."""

RUN = "0-run"
MINUTE = 60_000
LEASE = 10 * MINUTE


def ready(
    step: str, *, index: int = 1, queue: str = "q", priority: int = 0, **limits: Any
) -> ReadyStep:
    """Make a step that may be claimed."""
    limits = {
        "start_to_close_ms": 0,
        "delay_ms": 0,
        "schedule_to_start_ms": 0,
        "total_ms": 0,
        **limits,
    }
    return ReadyStep(
        step=step, queue=queue, priority=priority, event_index=index, **limits
    )


def started(
    *steps: ReadyStep, run: str = RUN, commit: str = "c1", **more: Any
) -> Commit:
    """Make the commit that begins a run with steps, each scheduled by an event of its own."""
    changes = replace(
        more.pop("changes", IndexChanges()), status="running", ready=steps
    )
    events = [
        event("RunStarted"),
        *(event("StepScheduled", step=step.step) for step in steps),
    ]
    steps = tuple(
        step._replace(event_index=index) for index, step in enumerate(steps, 2)
    )
    return Commit(
        run, "new", commit, tuple(events), changes=replace(changes, ready=steps), **more
    )


def event(kind: str, **data: Json) -> tuple[str, bytes]:
    """Make an event as commits carry it."""
    return kind, codec.encode(data)


def decided(
    after: Committed | Claimed, last_commit: str, commit: str, **more: Any
) -> Commit:
    """Make a commit that was decided behind another one."""
    more = {"run": RUN, "events": (event("Noted"),), **more}
    return Commit(
        mode="cas",
        commit_id=commit,
        version=after.version,
        last_commit=last_commit,
        **more,
    )


def fact(
    lease: Lease,
    commit: str,
    *,
    version: int,
    last_commit: str,
    final: bool = True,
    **more: Any,
) -> Commit:
    """Make the commit of the outcome of a step, with one event of its decision."""
    events = (event("StepCompleted", step=lease.step), event("Decided"))
    facts = ((lease.step, lease.fence, final),)
    return Commit(
        RUN,
        "fact",
        commit,
        events,
        version,
        last_commit,
        facts=facts,
        fact_events=1,
        **more,
    )


def claim(
    store: RunStore,
    *,
    at_most: int = 9,
    name: str = "k1",
    queue: str = "q",
    having: str = "h",
) -> Sequence[Claimed]:
    """Claim steps."""
    [reply] = store.claim(
        [ClaimRequest(0, queue, at_most, name, having)], worker="w", lease_ms=LEASE
    )
    return reply.claimed


def steps(claimed: Sequence[Claimed]) -> list[str]:
    """Return the steps that were claimed."""
    return [item.lease.step for item in claimed]


def due(store: RunStore) -> list[tuple[DueKind, str]]:
    """Take what is due, as kinds and subjects."""
    [reply] = store.due([0], ["q"], push_ms=LEASE)
    return sorted((member.kind, member.step) for member in reply.members)


def types(store: RunStore, run: str = RUN) -> list[str]:
    """Return the types of the events of a run."""
    return [item.type for item in store.read([(run, 0)])[0]]


def builds(store: RunStore) -> dict[str, Json]:
    """Return the builds that the claims of steps name, None where they name none."""
    [recorded] = store.read([(RUN, 0)])
    begun = [item.data for item in recorded if item.type == STARTED]
    return {data["step"]: data.get("build") for data in begun}
