"""Why a run is as it is: where it failed or waits, and how it differs from one that completed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventstore.event import Recorded
from eventstore.redis.coordination.members import Directory
from executor.runs.repository import Session
from executor.worker.abilities import Fleet
from openagents_json.engine.inspection.queries import Queries
from openagents_json.engine.inspection.replay import Replays
from openagents_json.engine.inspection.replay_savings import Replayed
from openagents_json.engine.wiring.client import Core
from openagents_json.errors import RunUnreadable
from openagents_json.workflow.core import event_traits
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import names_by_attempt
from openagents_json.workflow.history.diff import Comparison, changes_of
from openagents_json.workflow.types import Json
from projections.runs import RunFilter

LOOKED_AT = 50
"""Among how many completed runs the one nearest to a run is looked for."""

_ENDS = names_by_attempt(
    {
        event_traits.Attempt.COMPLETED: "completed",
        event_traits.Attempt.FAILED: "failed",
        event_traits.Attempt.TIMED_OUT: "timed out",
        event_traits.Attempt.LOST: "was lost with its worker",
        event_traits.Attempt.GIVEN_BACK: "was given back",
        event_traits.Attempt.BEGUN: None,
        event_traits.Attempt.CANCELLED: None,
        event_traits.Attempt.OVERRIDDEN: None,
        event_traits.Attempt.LATE: None,
    }
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a step: who, when, and how it ended."""

    number: int
    worker: str
    started_ms: int
    ended_ms: int | None
    end: str
    error: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a run is as it is: where it failed, with what inputs and attempts, or what it waits for.

    `reference` is the nearest run of the same workflow that completed, empty when there is none. `reopened` says when
    and why it was opened again last, empty when it was not.
    """

    run: str
    workflow: str
    version: str
    status: str
    reason: str = ""
    step: str = ""
    error: Mapping[str, Json] | None = None
    inputs: Mapping[str, Json] | None = None
    attempts: tuple[Attempt, ...] = ()
    waits: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    comparison: Comparison | None = None
    replayed: Replayed | None = None
    reopened: str = ""
    imported: str = ""

    def lines(self) -> Iterator[str]:
        """Say it for people."""
        yield f"run {self.run} of {self.workflow} {self.version} is {self.status}"
        if self.error is not None:
            where = f"step {self.step} failed" if self.step else "it failed"
            yield f"{where}: {self.error.get('type')}: {self.error.get('message')}"
        elif self.reason:
            yield f"because: {self.reason}"
        for attempt in self.attempts:
            lasted = (
                ""
                if attempt.ended_ms is None
                else f" after {attempt.ended_ms - attempt.started_ms} ms"
            )
            error = (
                f": {attempt.error.get('type')}: {attempt.error.get('message')}"
                if attempt.error
                else ""
            )
            yield f"  attempt {attempt.number} at {attempt.worker} {attempt.end}{lasted}{error}"
        for path, what in self.waits.items():
            yield f"step {path} {what}"
        if self.reopened:
            yield self.reopened
        if self.imported:
            yield self.imported
        if self.replayed is not None:
            yield from self.replayed.lines()
        if self.comparison is not None:
            yield f"the nearest run that completed is {self.reference}"
            yield from _differences(self.comparison)


def _differences(found: Comparison) -> Iterator[str]:
    for change in found.inputs[:10]:
        yield f"  input {change.path}: {change.one!r} here, {change.other!r} there"
    for step in [
        x for x in found.steps if x.one == x.other == st.COMPLETED and x.output
    ][:10]:
        change = step.output[0]
        yield f"  step {step.step} returned {change.one!r} here, {change.other!r} there ({change.path or 'all of it'})"
    if found.first is not None:
        place = f"step {found.first.step}" if found.first.step else "the run"
        here, there = found.first.one or "nothing", found.first.other or "nothing"
        at = "" if found.first.one_version is None else f" {found.first.one_version}"
        yield f"  they part at event{at} ({place}): {here} here, {there} there"


def explain(run: str, replays: Replays, reads: Queries) -> Explanation:
    """Say why a run is as it is.

    Raises RunNotFound and ViewBehind.
    """
    recorded = replays.recorded(run)
    session = replays.folded(run, recorded)
    state = session.state
    at = str((state.error or {}).get("at") or state.failed_step or "")
    known = state.steps.get(at)
    reference = _nearest(session, replays, reads) if state.status == st.FAILED else ""
    return Explanation(
        run,
        state.workflow,
        state.version,
        state.status,
        state.reason,
        at,
        state.error,
        known.inputs if known else None,
        tuple(_attempts(recorded, at)) if at else (),
        _waiting(session, replays.core.directory),
        reference,
        replays.diff(run, reference) if reference else None,
        replays.replayed(run),
        _reopened(recorded),
        _imported(recorded),
    )


def _imported(recorded: Sequence[Recorded]) -> str:
    for item in reversed(recorded):
        if item.type == ev.RunImported.__name__:
            data = item.data
            how = f"events 1 to {data['at']} were written in another store, {data['source']}"
            return f"{how}, and brought here at event {item.version} by {item.actor}{_file(data)}"
    return ""


def _file(data: Mapping[str, Any]) -> str:
    file = f", from a file with SHA-256 {data['sha256']}" if data.get("sha256") else ""
    return f"{file}: {data['reason']}" if data.get("reason") else file


def _reopened(recorded: Sequence[Recorded]) -> str:
    for item in reversed(recorded):
        if item.type == ev.RunReopened.__name__:
            why = item.data.get("reason") or "no reason was given"
            return f"opened again at event {item.version} by {item.actor}: {why}"
    return ""


def _nearest(session: Session, replays: Replays, reads: Queries) -> str:
    """Find the completed run of the workflow whose inputs differ least, of the same version if there is one."""
    chosen = RunFilter(status=(st.COMPLETED,), workflow=(session.state.workflow,))
    rows = [
        row
        for row in reads.runs(chosen, limit=LOOKED_AT).items
        if row.id != session.run and not row.redacted
    ]
    best: tuple[tuple[int, int], str] | None = None
    histories = replays.core.store.read([(row.id, 0) for row in rows])
    found = [
        (row, recorded[0])
        for row, recorded in zip(rows, histories, strict=True)
        if recorded
    ]  # or has left
    try:
        firsts = replays.core.sessions.payloads.decode([first for _, first in found])
    except RunUnreadable:  # one of them: it is damaged, or not for this process to read
        return ""
    for (row, _), begun in zip(found, firsts, strict=True):
        inputs = begun.inputs if isinstance(begun, ev.RunStarted) else {}
        differing = sum(1 for _ in changes_of(session.state.inputs, inputs))
        rank = (int(row.version != session.state.version), differing)
        if best is None or rank < best[0]:
            best = (rank, row.id)
    return best[1] if best else ""


def _waiting(session: Session, directory: Directory) -> dict[str, str]:
    steps = session.state.steps
    waits = {
        path: _waits(steps[path])
        for path in sorted(session.state.open_steps)
        if not _holds(steps[path])
    }
    return waits | _lacking(session, directory)


def lacking(core: Core, run: str) -> dict[str, str]:
    """Return the steps of a run that wait for what no live worker has, and what that is.

    Raises RunNotFound.
    """
    return _lacking(core.sessions.load(run), core.directory)


def _lacking(session: Session, directory: Directory) -> dict[str, str]:
    state, fleet = session.state, Fleet(directory)
    fleet.see(directory.workers())
    found = {}
    for path in sorted(state.open_steps):
        step, plan = state.steps[path], session.plan.of(path)
        if (
            step.status == st.SCHEDULED
            and not step.kind
            and not fleet.can(plan.queue, plan.component or "")
        ):
            found[path] = (
                f"waits for the component {plan.component}, which no live worker has, in queue {plan.queue}"
            )
    return found


def _holds(step: st.StepState) -> bool:
    return step.kind in st.GROUPS or step.kind == st.BLOCK


def _waits(step: st.StepState) -> str:
    match step.status:
        case st.STARTED:
            return f"is run by {step.worker}, attempt {step.attempt}"
        case st.GATED:
            return "waits for a lock or a rate"
        case st.WAITING | st.RETRYING:
            return f"waits to be tried again, after {step.failures} failures"
        case st.SCHEDULED:
            return "waits for a worker"
        case _:
            return (
                f"waits for its run {step.child}"
                if step.child
                else f"waits ({step.kind})"
            )


def _attempts(recorded: Sequence[Recorded], step: str) -> list[Attempt]:
    begun: dict[int, Recorded] = {}
    ended: dict[int, Recorded] = {}
    for item in recorded:
        data = item.data if isinstance(item.data, dict) else {}
        if data.get("step") == step and item.type == ev.StepStarted.__name__:
            begun[data["attempt"]] = item
        elif data.get("step") == step and item.type in _ENDS and data.get("attempt"):
            ended.setdefault(data["attempt"], item)
    return [
        _attempt(start, ended.get(number)) for number, start in sorted(begun.items())
    ]


def _attempt(start: Recorded, end: Recorded | None) -> Attempt:
    number, worker = start.data["attempt"], start.data["worker"]
    if end is None:
        return Attempt(number, worker, start.time_ms, None, "is under way")
    last = (
        f", the last because of {reason}"
        if (reason := end.data.get("reason")) and "error" in end.data
        else ""
    )
    return Attempt(
        number,
        worker,
        start.time_ms,
        end.time_ms,
        _ENDS[end.type] + last,
        end.data.get("error"),
    )
