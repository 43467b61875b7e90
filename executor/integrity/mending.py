"""Runs whose head or indexes do not fit their log, mended from the log, which is the truth.

A script writes the events of a commit first, its log entry after them, and the head last. What is left of one that was
cut off (half a transaction that a server has read back, or a slot that was moved away) is one of two things: events
that no log entry names, which nobody was told of, and which go; or a head that is behind its log, and is written anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from eventstore.errors import EventUnreadable
from eventstore.event import Recorded
from eventstore.redis.upkeep.inspection import Inspector, LogEntry, LogTails, RunView
from eventstore.redis.upkeep.mending import Mender, Mending, SeatRecord
from executor.integrity.invariants import Violation
from executor.runs.handler import Handler
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey, DueKind
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.takeover import TimedEvent, imported
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.state import RunState, initial

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
    by_partition: dict[int, set[str]] = {}
    for violation in violations:
        if violation.run and violation.number in MENDED:
            by_partition.setdefault(violation.partition, set()).add(violation.run)
    return [
        item
        for partition, runs in sorted(by_partition.items())
        for item in _part(handler, mender, inspector, partition, runs)
    ]


def _part(
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
    known, counter = (
        LogTails({run: own[-1] for run, own in entries.items()}, last),
        inspector.counter(partition),
    )
    for view in inspector.moment(partition, known, sorted(runs)):
        own, seen = entries.get(view.run, []), last.id if last else "-"
        if _in_part(view, own, counter):
            yield _remove(handler, mender, view, own, seen)
        else:
            yield _mend(handler, mender, view, seen)


def _in_part(view: RunView, own: Sequence[LogEntry], counter: int) -> bool:
    """Tell whether a run was cut off while it came in from elsewhere.

    Older releases left no note of that: then it has no head, and more log entries than one behind the counter, which
    was written after them.
    """
    if view.head is not None:
        return view.head.adopting
    return len(own) > 1 and own[0].n - (own[0].last - own[0].first) > counter


def _remove(
    handler: Handler, mender: Mender, view: RunView, own: Sequence[LogEntry], seen: str
) -> RepairResult:
    """Remove what has come in: nobody was told that it was here, and where it came from it still is."""
    was = view.head.version if view.head else 0
    mending = Mending(
        view.run,
        0,
        "",
        view.last,
        was,
        seen,
        forget=sorted(view.due),
        leave=sorted(view.ready),
    )
    if not mender.mend(replace(mending, drop=[entry.id for entry in own])):
        return RepairResult(
            view.run,
            False,
            "it came in only in part, and others have written behind it; ask again",
        )
    handler.sessions.drop(view.run)
    return RepairResult(
        view.run,
        True,
        f"it came in only in part: its {view.events} events were removed; let it come in again",
    )


def _mend(handler: Handler, mender: Mender, view: RunView, seen: str) -> RepairResult:
    run, version = view.run, view.logged
    try:
        history = handler.store.read([(run, 0)])[0]
    except EventUnreadable:
        return RepairResult(
            run,
            False,
            "some of its events cannot be read; restore it from an archive or a backup",
        )
    versions = [item.version for item in history]
    if version > len(history) or versions != list(range(1, len(history) + 1)):
        return RepairResult(
            run,
            False,
            "events are missing that its log names; restore it from an archive or a backup",
        )
    head, past = view.head, history[:version]
    was = head.version if head else 0
    if was > version or len({item.commit for item in history[version:]}) > 1:
        return RepairResult(
            run,
            False,
            "the log ends before it, by more than one commit; restore the log from a backup",
        )
    mending = Mending(
        run, version, past[-1].commit if past else "", len(history), was, seen
    )
    mending = replace(mending, forget=sorted(view.due), leave=sorted(view.ready))
    if past and past[0].type == ev.RunStarted.__name__:
        mending = _with_indexes(handler, mending, past)
    if not mender.mend(mending):
        return RepairResult(run, False, "it changed meanwhile; ask again")
    handler.sessions.drop(run)
    cut = len(history) - version
    if not version:
        return RepairResult(
            run,
            True,
            f"it had not begun: {cut} events that no commit names were removed",
        )
    return RepairResult(
        run,
        True,
        f"it stands at version {version}, as its log says; {cut} events behind that were removed",
    )


def _with_indexes(
    handler: Handler, mending: Mending, past: Sequence[Recorded]
) -> Mending:
    happened = handler.sessions.payloads.decode(past)
    state = evolve_all(initial(), happened)
    plan = handler.definitions.plan(state.definition)
    moved = imported(
        plan,
        state,
        [
            TimedEvent(x.version, x.time_ms, event)
            for x, event in zip(past, happened, strict=True)
        ],
    )
    timers = [
        (DueKey(kind, mending.run, subject), delay, at)
        for kind, subject, delay, at in moved.timers
    ]
    records = []
    for seat in moved.restored:
        step = state.steps[seat.step]
        held = step.status == st.STARTED
        records.append(
            SeatRecord(
                seat.step,
                seat.queue,
                seat.priority,
                seat.attempt,
                seat.scheduled_version,
                seat.start_to_close_ms,
                seat.flags,
                step.fence if held else "",
                step.worker if held else "",
                seat.ready,
            )
        )
    components = [
        x
        for seat in moved.restored
        if seat.component
        for x in (f"c:{seat.step}", seat.component)
    ]
    return replace(
        mending,
        fields=[*_fields(state, happened), *components],
        records=records,
        timers=[*timers, *_messages(mending.run, state)],
    )


def _fields(state: RunState, happened: Sequence[ev.Event]) -> list[str]:
    begun = next(event for event in happened if isinstance(event, ev.RunStarted))
    fence = max(
        (int(event.fence) for event in happened if isinstance(event, ev.StepStarted)),
        default=0,
    )
    fields = [
        "st",
        state.status,
        "can",
        str(int(state.status == st.CANCELLING)),
        "def",
        state.definition,
    ]
    fields += ["wf", begun.workflow]
    fields += ["f", str(fence)] if fence else []
    return [*fields, "hold", "1"] if state.held else fields


def _messages(run: str, state: RunState) -> list[tuple[DueKey, int, int]]:
    """Return what somebody has to look at again: sent once too often, these change nothing."""
    children = [path for path in state.open_steps if state.steps[path].child]
    found = [(DueKey(DueKind.CHILD, run, path), 0, 0) for path in children]
    if state.status not in CLOSED_RUN:
        return [*found, (DueKey(DueKind.DECISION, run), 0, 0)]
    return [(DueKey(DueKind.PARENT, run), 0, 0)] if state.parent else []
