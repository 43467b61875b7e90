"""Why a run is as it is: where it failed or waits, and how it differs from one that completed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eventstore.event import Recorded
from executor.runs.repository import Session
from openagents_json.engine.answers.lists import RunRow
from openagents_json.engine.inspection.overview import build_changes
from openagents_json.engine.inspection.queries import Queries
from openagents_json.engine.inspection.replay import Replays
from openagents_json.engine.inspection.replay_savings import Replayed
from openagents_json.engine.inspection.waits import waits_of
from openagents_json.errors import RunUnreadable
from openagents_json.workflow.core import event_traits
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import names_by_attempt
from openagents_json.workflow.history.builds import BuildChange
from openagents_json.workflow.history.diff import Comparison, Divergence, changes_of
from openagents_json.workflow.types import Json
from projections.runs import RunFilter

SHOWN = 10
"""How many differences of a kind are shown."""

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
    build: str = ""


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
    builds: tuple[BuildChange, ...] = ()

    def lines(self) -> Iterator[str]:
        """Say it for people."""
        yield f"run {self.run} of {self.workflow} {self.version} is {self.status}"
        if self.error is not None:
            where = f"step {self.step} failed" if self.step else "it failed"
            yield f"{where}: {_shown(self.error)}"
        elif self.reason:
            yield f"because: {self.reason}"
        yield from _attempt_lines(self.attempts)
        yield from [change.sentence() for change in self.builds[:SHOWN]]
        for path, wait in self.waits.items():
            yield f"step {path} {wait}"
        yield from filter(None, (self.reopened, self.imported))
        if self.replayed is not None:
            yield from self.replayed.lines()
        if self.comparison is not None:
            yield f"the nearest run that completed is {self.reference}"
            yield from _differences(self.comparison)


def _shown(error: Mapping[str, Json]) -> str:
    return f"{error.get('type')}: {error.get('message')}"


def _attempt_lines(attempts: Sequence[Attempt]) -> Iterator[str]:
    """Return all attempts, and where the last one failed; those before it mostly failed in the same place."""
    error: Mapping[str, Json] = {}
    for attempt in attempts:
        error = attempt.error or {}
        yield f"  {_attempt_line(attempt)}"
    trace = str(error.get("traceback") or "")
    yield from [f"    {frame}" for frame in trace.splitlines()]


def _attempt_line(attempt: Attempt) -> str:
    line = f"attempt {attempt.number} at {attempt.worker} {attempt.end}"
    if attempt.ended_ms is not None:
        line += f" after {attempt.ended_ms - attempt.started_ms} ms"
    if attempt.error:
        line += f": {_shown(attempt.error)}"
    return line


def _differences(comparison: Comparison) -> Iterator[str]:
    for build in comparison.builds[:SHOWN]:
        here, there = ", ".join(build.one), ", ".join(build.other)
        yield f"  component {build.component} ran build {here} here, {there} there"
    for change in comparison.inputs[:SHOWN]:
        yield f"  input {change.path}: {change.one!r} here, {change.other!r} there"
    both_completed = (st.COMPLETED, st.COMPLETED)
    returned = [
        step for step in comparison.steps if (step.one, step.other) == both_completed
    ]
    returned_otherwise = [step for step in returned if step.output]
    for step in returned_otherwise[:SHOWN]:
        change = step.output[0]
        where = change.path or "all of it"
        yield f"  step {step.step} returned {change.one!r} here, {change.other!r} there ({where})"
    if comparison.first is not None:
        yield f"  {_parting(comparison.first)}"


def _parting(first: Divergence) -> str:
    subject = f"step {first.step}" if first.step else "the run"
    at = "" if first.one_version is None else f" {first.one_version}"
    here, there = first.one or "nothing", first.other or "nothing"
    return f"they part at event{at} ({subject}): {here} here, {there} there"


def explain(run: str, replays: Replays, reads: Queries) -> Explanation:
    """Say why a run is as it is.

    Raises RunNotFound and ViewBehind.
    """
    recorded = replays.recorded(run)
    session = replays.folded(run, recorded)
    state = session.state
    at = str((state.error or {}).get("at") or state.failed_step or "")
    step = state.steps.get(at)
    waits = waits_of(session, recorded, replays.core.directory)
    reference = _nearest(session, replays, reads) if state.status == st.FAILED else ""
    return Explanation(
        run=run,
        workflow=state.workflow,
        version=state.version,
        status=state.status,
        reason=state.reason,
        step=at,
        error=state.error,
        inputs=step.inputs if step else None,
        attempts=tuple(_attempts(recorded, at)) if at else (),
        waits={wait.step: wait.sentence() for wait in waits},
        reference=reference,
        comparison=replays.diff(run, reference) if reference else None,
        replayed=replays.replayed(run),
        reopened=_reopened(recorded),
        builds=build_changes(session, recorded),
        imported=_imported(recorded),
    )


def _last_of(recorded: Sequence[Recorded], event: type[ev.Event]) -> Recorded | None:
    for item in reversed(recorded):
        if item.type == event.__name__:
            return item
    return None


def _imported(recorded: Sequence[Recorded]) -> str:
    item = _last_of(recorded, ev.RunImported)
    if item is None:
        return ""
    data: Mapping[str, Any] = item.data
    text = (
        f"events 1 to {data['at']} were written in another store, {data['source']}, "
        f"and brought here at event {item.version} by {item.actor}"
    )
    if data.get("sha256"):
        text += f", from a file with SHA-256 {data['sha256']}"
    if data.get("reason"):
        text += f": {data['reason']}"
    return text


def _reopened(recorded: Sequence[Recorded]) -> str:
    item = _last_of(recorded, ev.RunReopened)
    if item is None:
        return ""
    why = item.data.get("reason") or "no reason was given"
    return f"opened again at event {item.version} by {item.actor}: {why}"


def _nearest(session: Session, replays: Replays, reads: Queries) -> str:
    """Find the completed run of the workflow whose inputs differ least, of the same version if there is one."""
    chosen = RunFilter(status=(st.COMPLETED,), workflow=(session.state.workflow,))
    readable = [
        row for row in reads.runs(chosen, limit=LOOKED_AT).items if not row.redacted
    ]
    others = [row for row in readable if row.id != session.run]
    histories = replays.core.store.read([(row.id, 0) for row in others])
    rows: list[RunRow] = []
    recorded: list[Recorded] = []
    for row, history in zip(others, histories, strict=True):
        if history:  # it may have left meanwhile
            rows.append(row)
            recorded.append(history[0])
    try:
        firsts = replays.core.sessions.payloads.decode(recorded)
    except RunUnreadable:  # one of them: it is damaged, or not for this process to read
        return ""
    state = session.state

    def distance(candidate: tuple[RunRow, ev.Event]) -> tuple[bool, int]:
        row, first = candidate
        inputs = first.inputs if isinstance(first, ev.RunStarted) else {}
        differing = sum(1 for _ in changes_of(state.inputs, inputs))
        return row.version != state.version, differing

    candidates = zip(rows, firsts, strict=True)
    nearest = min(candidates, key=distance, default=None)
    return nearest[0].id if nearest else ""


def _attempts(recorded: Sequence[Recorded], step: str) -> list[Attempt]:
    begun: dict[int, Recorded] = {}
    ended: dict[int, Recorded] = {}
    for item in recorded:
        data = item.data if isinstance(item.data, dict) else {}
        if data.get("step") != step:
            continue
        if item.type == ev.StepStarted.__name__:
            begun[data["attempt"]] = item
        elif item.type in _ENDS and data.get("attempt"):
            ended.setdefault(data["attempt"], item)
    return [
        _attempt(start, ended.get(number)) for number, start in sorted(begun.items())
    ]


def _attempt(start: Recorded, end: Recorded | None) -> Attempt:
    number, worker = start.data["attempt"], start.data["worker"]
    build = str(start.data.get("build") or "")
    if end is None:
        return Attempt(number, worker, start.time_ms, None, "is under way", build=build)
    how = _ENDS[end.type]
    error, reason = end.data.get("error"), end.data.get("reason")
    if reason and "error" in end.data:
        how += f", the last because of {reason}"
    return Attempt(number, worker, start.time_ms, end.time_ms, how, error, build)
