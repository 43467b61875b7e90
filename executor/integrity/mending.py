"""Runs whose head or indexes do not fit their log, mended from the log, which is the truth.

A script writes the events of a commit first, its log entry after them, and the head last. What is left of one that was
cut off (half a transaction that a server has read back, or a slot that was moved away) is one of two things: events
that no log entry names, which nobody was told of, and which go; or a head that is behind its log, and is written anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from eventstore.errors import EventUnreadable
from eventstore.event import Recorded
from eventstore.redis.upkeep.inspection import Inspector, LogEntry, LogTails, RunView
from eventstore.redis.upkeep.mending import Mender, Mending, SeatRecord
from executor.integrity.invariants import Violation, runs_by_partition
from executor.runs.handler import Handler
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey, DueKind, RestoredStep
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.takeover import TimedEvent, imported
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.indexes.changes import changes
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.state import RunState, initial

MESSAGES: Final = frozenset({DueKind.CHILD, DueKind.CANCEL_CHILD, DueKind.GIVE_BACK})
"""Due members that stand for something outside of the run; its log does not say whether that was done."""

MENDED = frozenset({1, 2, 4, 5})
"""The numbers of the invariants that say how a run and its indexes fit its log."""


@dataclass(frozen=True, slots=True)
class RepairResult:
    """What became of a run that was found broken; `done` is False where that is for a human to decide."""

    run: str
    done: bool
    what: str


def mend(
    handler: Handler,
    mender: Mender,
    inspector: Inspector,
    violations: Iterable[Violation],
) -> list[RepairResult]:
    """Mend the runs of violations, as far as their log says how; what the log itself contradicts stays as it is."""
    mended = [violation for violation in violations if violation.number in MENDED]
    of_runs = [violation for violation in mended if violation.run]
    results: list[RepairResult] = []
    for partition, runs in sorted(runs_by_partition(of_runs).items()):
        results += _mend_partition(handler, mender, inspector, partition, runs)
    return results


def _mend_partition(
    handler: Handler,
    mender: Mender,
    inspector: Inspector,
    partition: int,
    runs: set[str],
) -> Iterator[RepairResult]:
    entries: dict[str, list[LogEntry]] = {}
    last = None
    for last in inspector.log(partition):
        entries.setdefault(last.stream, []).append(last)
    tails = LogTails({stream: own[-1] for stream, own in entries.items()}, last)
    counter = inspector.counter(partition)
    # The guard of the script: where it finds an entry of the run behind this one, somebody has changed the run since.
    seen = last.id if last else "-"
    for view in inspector.moment(partition, tails, sorted(runs)):
        own = entries.get(view.run, [])
        if _came_in_part(view, own, counter):
            yield _remove(handler, mender, view, own, seen)
        else:
            yield _mend(handler, mender, view, seen)


def _came_in_part(view: RunView, own: Sequence[LogEntry], counter: int) -> bool:
    """Tell whether a run was cut off while it came in from elsewhere.

    Older releases left no note of that: then it has no head, and more log entries than one behind the counter, which
    was written after them.
    """
    if view.head is not None:
        return view.head.adopting
    if len(own) < 2:
        return False
    first_position = own[0].n - (own[0].last - own[0].first)
    return first_position > counter


def _remove(
    handler: Handler, mender: Mender, view: RunView, own: Sequence[LogEntry], seen: str
) -> RepairResult:
    """Remove what has come in: nobody was told that it was here, and where it came from it still is."""
    was = view.head.version if view.head else 0
    entries = [entry.id for entry in own]
    mending = Mending(
        run=view.run,
        version=0,
        commit="",
        top=view.last,
        was=was,
        seen=seen,
        drop=entries,
    )
    if not mender.mend(_without_indexes(mending, view)):
        fault = "it came in only in part, and others have written behind it; ask again"
        return RepairResult(view.run, False, fault)
    # After the write: what was loaded between the two would be kept as a run that is gone.
    handler.sessions.drop(view.run)
    result = f"it came in only in part: its {view.events} events were removed; let it come in again"
    return RepairResult(view.run, True, result)


def _without_indexes(mending: Mending, view: RunView) -> Mending:
    """Have the members of a run leave the indexes; those that it is to have are written anew in the same step.

    Messages stay, unless nothing of the run does: a commit wrote them behind its log entry, so they are true, and only
    who has sent them may take them away.
    """
    leaves = sorted(view.due)
    if mending.version:
        kinds = {member: DueKey.parse(member).kind for member in leaves}
        leaves = [member for member in leaves if kinds[member] not in MESSAGES]
    return replace(mending, forget=leaves, leave=sorted(view.ready))


def _mend(handler: Handler, mender: Mender, view: RunView, seen: str) -> RepairResult:
    run = view.run
    version = view.logged
    try:
        [history] = handler.store.read([(run, 0)])
    except EventUnreadable:
        fault = (
            "some of its events cannot be read; restore it from an archive or a backup"
        )
        return RepairResult(run, False, fault)
    fault = _contradiction(view, history)
    if fault:
        return RepairResult(run, False, fault)
    mending = _as_logged(handler, view, history, seen)
    if not mender.mend(mending):
        return RepairResult(run, False, "it changed meanwhile; ask again")
    handler.sessions.drop(run)  # after the write, as above
    cut = len(history) - version
    result = f"it had not begun: {cut} events that no commit names were removed"
    if version:
        result = f"it stands at version {version}, as its log says; {cut} events behind that were removed"
    return RepairResult(run, True, result)


def _as_logged(
    handler: Handler, view: RunView, history: Sequence[Recorded], seen: str
) -> Mending:
    """Return what puts a run where its log says that it stands, with all that the indexes must hold of it there."""
    version = view.logged
    past = history[:version]
    commit = past[-1].commit if past else ""
    was = view.head.version if view.head else 0
    mending = Mending(
        run=view.run,
        version=version,
        commit=commit,
        top=len(history),
        was=was,
        seen=seen,
    )
    mending = _without_indexes(mending, view)
    is_run = bool(past) and past[0].type == ev.RunStarted.__name__
    if is_run:
        return _with_indexes(handler, mending, past)
    return mending


def _contradiction(view: RunView, history: Sequence[Recorded]) -> str:
    """Say where the log, by which a run is mended, cannot be right itself; "" when it can."""
    version = view.logged
    versions = [event.version for event in history]
    has_gaps = version > len(history) or versions != list(range(1, len(history) + 1))
    if has_gaps:
        return "events are missing that its log names; restore it from an archive or a backup"
    # A commit that was cut off leaves its own events and no others. More of them, or a head that was written after
    # its log entry, are acknowledged work: then it is the log that has lost its end.
    head_version = view.head.version if view.head else 0
    commits_behind = {event.commit for event in history[version:]}
    if head_version > version or len(commits_behind) > 1:
        return "the log ends before it, by more than one commit; restore the log from a backup"
    return ""


def _with_indexes(
    handler: Handler, mending: Mending, past: Sequence[Recorded]
) -> Mending:
    events = handler.sessions.payloads.decode(past)
    state = evolve_all(initial(), events)
    plan = handler.definitions.plan(state.definition)
    timed = [
        TimedEvent(recorded.version, recorded.time_ms, event)
        for recorded, event in zip(past, events, strict=True)
    ]
    indexes = imported(plan, state, timed)
    timers = [
        (DueKey(kind, mending.run, subject), delay, at)
        for kind, subject, delay, at in indexes.timers
    ]
    return replace(
        mending,
        fields=[*_fields(state, events), *_components(indexes.restored)],
        records=[_record(state.steps[step.step], step) for step in indexes.restored],
        timers=[
            *timers,
            *_messages_of_last_commit(mending.run, plan, past, events),
            *_messages(mending.run, state),
        ],
    )


def _messages_of_last_commit(
    run: str, plan: Plan, past: Sequence[Recorded], events: Sequence[ev.Event]
) -> list[tuple[DueKey, int, int]]:
    """Return the messages of the last commit, which may have been cut off before it wrote them; twice, they are one.

    What was copied from another run is not this run's to send.
    """
    last_commit = past[-1].commit
    own = [item for item in past if not item.data.get("copied")]
    of_last = [item.version for item in own if item.commit == last_commit]
    if not of_last:
        return []
    first = of_last[0] - 1
    before = evolve_all(initial(), events[:first])
    after = evolve_all(before, events[first:])
    timers = changes(plan, before, events[first:], after).timers
    messages = [timer for timer in timers if timer.kind in MESSAGES]
    return [
        (DueKey(timer.kind, run, timer.subject), timer.delay_ms, timer.at_ms)
        for timer in messages
    ]


def _record(state: st.StepState, step: RestoredStep) -> SeatRecord:
    # Somebody may work on a claimed step still: with its fence, the outcome counts, and without a heartbeat, the
    # lease, which the script has run out now, gives the step back.
    is_held = state.status == st.STARTED
    return SeatRecord(
        step=step.step,
        queue=step.queue,
        priority=step.priority,
        attempt=step.attempt,
        scheduled=step.scheduled_version,
        start_to_close_ms=step.start_to_close_ms,
        flags=step.flags,
        fence=state.fence if is_held else "",
        worker=state.worker if is_held else "",
        ready=step.ready,
        share=_share(state),
    )


def _share(state: st.StepState) -> str:
    if not state.fairness:
        return ""
    key, weight = state.fairness
    return f"{weight}|{key}"


def _components(steps: Sequence[RestoredStep]) -> list[str]:
    fields: list[str] = []
    for step in steps:
        if step.component:
            fields += (f"c:{step.step}", step.component)
    return fields


def _fields(state: RunState, events: Sequence[ev.Event]) -> list[str]:
    begun = next(event for event in events if isinstance(event, ev.RunStarted))
    cancel = str(int(state.status == st.CANCELLING))
    fields = ["st", state.status, "can", cancel]
    fields += ["def", state.definition, "wf", begun.workflow]
    fences = [int(event.fence) for event in events if isinstance(event, ev.StepStarted)]
    if fences:
        # Fences only rise: the next claim counts on from the highest that was ever given out.
        fields += ["f", str(max(fences))]
    if state.held:
        fields += ["hold", "1"]
    return fields


def _messages(run: str, state: RunState) -> list[tuple[DueKey, int, int]]:
    """Return what somebody has to look at again: sent once too often, these change nothing."""
    if state.status in CLOSED_RUN:
        if state.parent:
            return [(DueKey(DueKind.PARENT, run), 0, 0)]
        return []
    children = [path for path in state.open_steps if state.steps[path].child]
    keys = [DueKey(DueKind.CHILD, run, path) for path in children]
    keys.append(DueKey(DueKind.DECISION, run))
    return [(key, 0, 0) for key in keys]
