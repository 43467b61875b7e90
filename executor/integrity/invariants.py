"""What must hold of a store at any moment: one function that tests, chaos runs and `openagents doctor` share.

The numbers are those of the design's list of invariants. A look at a whole store cannot be one moment, so on one that
is written to, a finding counts only when it is still there in a look that is: `confirmed` does that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass, field

from eventstore.intervals import joined, within
from eventstore.redis.upkeep.inspection import Inspector, LogEntry, LogTails, RunView
from eventstore.run_model import RunHead, StepRecord
from executor.integrity.courses import HistorySummary
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey, DueKind
from openagents_json.workflow.core.event_types import CLOSED_AS

MESSAGES = frozenset(
    {DueKind.CHILD, DueKind.PARENT, DueKind.GIVE_BACK, DueKind.CANCEL_CHILD}
)
"""Due members of messages to other runs and keys, which a closed run may still have to send."""

WAKES = frozenset(
    {
        DueKind.DECISION,
        DueKind.CANCEL_GRACE,
        DueKind.TIMER,
        DueKind.SIGNAL,
        DueKind.GATES,
        DueKind.CHILD,
        DueKind.RUN_LIMIT,
    }
)
"""Due members that wake a run, or stand for something from outside that will."""

OVERDUE_MS = 30_000
"""How long a lease may have run out before it is strange that no relay has moved its step back."""


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """A broken invariant: its number, where, and what was seen."""

    number: int
    partition: int
    run: str
    what: str


@dataclass(slots=True)
class _Findings:
    partition: int
    violations: list[Violation] = field(default_factory=list)

    def add(self, number: int, run: str, fault: str) -> None:
        self.violations.append(Violation(number, self.partition, run, fault))


@dataclass(slots=True)
class _Covered:
    """What a log says: the last entry of each stream, where it ends, and which entries stand behind a gap."""

    entries: dict[str, LogEntry] = field(default_factory=dict)
    last: LogEntry | None = None
    gaps: list[tuple[int, LogEntry]] = field(default_factory=list)

    @property
    def tails(self) -> LogTails:
        return LogTails(self.entries, self.last)


def check(
    inspector: Inspector, partitions: Iterable[int], *, deep: bool = False
) -> list[Violation]:
    """Look once at every run of some partitions.

    Events are read only of runs that do not look right from outside: where head, stream and log do not agree on the
    last event, or its type on whether the run has ended. With `deep`, those of all runs are. On a store that is written
    to, runs move on between the reads of one look: `confirmed` looks at what was found again.
    """
    violations: list[Violation] = []
    inspector.find()
    for partition in partitions:
        # The log and the indexes are read before the runs: what moves on between them shows as a difference, which
        # another look at that run alone does not confirm.
        covered, findings = _logged(inspector, partition)
        indexes = inspector.indexes(partition)
        streams = sorted(covered.entries.keys() | inspector.streams(partition))
        views = inspector.views(partition, covered.tails, indexes, streams)
        _look(inspector, views, findings, deep=deep)
        violations += findings.violations
    return violations


def confirmed(
    inspector: Inspector, partitions: Iterable[int], *, deep: bool = False
) -> list[Violation]:
    """Look, and keep of what was found what is still so when each run is looked at with all its keys at one moment."""
    suspected = set(check(inspector, partitions, deep=deep))
    violations: set[Violation] = set()
    for partition, runs in runs_by_partition(suspected).items():
        covered, findings = _logged(inspector, partition)
        views = inspector.moment(partition, covered.tails, sorted(runs))
        _look(inspector, views, findings, deep=True)
        violations.update(findings.violations)
    # Only what both looks say counts: what the second one alone says may be a run that moved on under it.
    return sorted(violations & suspected)


def runs_by_partition(violations: Iterable[Violation]) -> dict[int, set[str]]:
    """Return the runs of violations by their partitions; a violation of the log as a whole has none."""
    runs_of: dict[int, set[str]] = defaultdict(set)
    for violation in violations:
        runs_of[violation.partition] |= {violation.run} - {""}
    return dict(runs_of)


def _logged(inspector: Inspector, partition: int) -> tuple[_Covered, _Findings]:
    """Read the log of a partition, and check it by itself."""
    findings = _Findings(partition)
    covered = _log(inspector.log(partition), findings)
    counter = inspector.counter(partition)
    end = covered.last.n if covered.last else 0
    if counter != end:
        findings.add(2, "", f"the counter says {counter}, the log ends at {end}")
    if covered.gaps:
        _gaps(covered, _vacated(inspector, covered), findings)
    return covered, findings


def _vacated(inspector: Inspector, covered: _Covered) -> list[tuple[int, int]]:
    """Return the positions that archived and deleted runs have left empty, from the first to the last of each piece."""
    notes = [stream for stream in covered.entries if stream.endswith("-archive")]
    spans: list[tuple[int, int]] = []
    for _, history in inspector.histories(notes):
        for event in history:
            pieces = event.data.get("positions") or ()
            spans += [(first, last) for first, last in pieces]
    return spans


def _look(
    inspector: Inspector, views: Iterable[RunView], findings: _Findings, *, deep: bool
) -> None:
    if not deep:
        views = _odd(views, findings)
    for view, events in inspector.courses(views):
        is_run = view.head is not None and bool(view.head.status)
        summary = HistorySummary.of(view.run, events, steps=is_run)
        _run(view, summary, findings)


def _odd(views: Iterable[RunView], findings: _Findings) -> Iterator[RunView]:
    """Check runs from outside, and return those of which that is not enough."""
    for view in views:
        head = view.head
        if not _fits(view):
            yield view
        elif head is not None and head.status:
            _left_over(view, head, findings)
            _wake_ups(view, head, findings)


def _fits(view: RunView) -> bool:
    """Tell whether all that can be seen of the events of a run from outside says the same."""
    head = view.head
    if head is None:
        return not view.events and not view.logged  # it has left the store since
    if head.adopting or head.last_commit != view.commit:
        return False
    if not head.version == view.events == view.last == view.logged:
        return False
    if not head.status:
        return True  # a stream of somebody else's does not close
    return (head.status in CLOSED_RUN) == (view.kind in CLOSED_AS)


def _run(view: RunView, summary: HistorySummary, findings: _Findings) -> None:
    run = view.run
    head = view.head
    nothing_there = not (view.events or view.logged or head)
    if summary.events != view.events or nothing_there:
        return  # it has left the store while it was read
    if head is not None and head.adopting:
        fault = f"it came from elsewhere, and only in part: {summary.events} events, then it was cut off"
        findings.add(1, run, fault)
        return
    if not view.logged:
        findings.add(2, run, "the run has events, and the log does not know of it")
        return
    if view.logged != summary.events:
        fault = f"the log covers {view.logged} of {summary.events} events"
        findings.add(2, run, fault)
    if head is None:
        findings.add(1, run, "the run has events but no head")
        return
    _versions(run, head, summary, findings)
    if head.status:  # else it is a stream of somebody else's, not a run
        _course(view, head, summary, findings)


def _course(
    view: RunView, head: RunHead, summary: HistorySummary, findings: _Findings
) -> None:
    """Check what a run did, how it ended, and what the indexes hold of it."""
    for number, fault in summary.faults():
        findings.add(number, view.run, fault)
    _closing(view.run, head, summary, findings)
    _left_over(view, head, findings)
    _wake_ups(view, head, findings)


def _versions(
    run: str, head: RunHead, summary: HistorySummary, findings: _Findings
) -> None:
    events = summary.events
    for version, why in summary.unreadable[:5]:
        findings.add(1, run, f"event {version} cannot be read ({why[:100]})")
    if summary.misplaced:
        fault = f"versions are not 1..{events}: {summary.misplaced[:20]}"
        findings.add(1, run, fault)
    if head.version != events:
        fault = f"the head says version {head.version}, the log has {events} events"
        findings.add(1, run, fault)
    # The version alone is not enough: after a lost tail it can be filled again with another history.
    if events and head.last_commit != summary.commit:
        fault = f"the head says commit {head.last_commit}, the log ends with {summary.commit}"
        findings.add(1, run, fault)
    for commit in summary.again:
        findings.add(6, run, f"commit {commit} is there again behind another one")


def _log(log: Iterable[LogEntry], findings: _Findings) -> _Covered:
    covered = _Covered()
    end = 0
    for entry in log:
        begins_after = entry.n - _size(entry)
        if begins_after != end:
            covered.gaps.append((end, entry))
        end = entry.n
        previous = covered.entries.get(entry.stream)
        version = previous.last if previous else 0
        if entry.first != version + 1:
            fault = f"log covers version {entry.first} after {version}"
            if entry.first < 0:
                fault = f"log entry {entry.n}-{entry.time_ms} is no commit: something else has written it"
            findings.add(2, entry.stream, fault)
        covered.entries[entry.stream] = entry
        covered.last = entry
    return covered


def _size(entry: LogEntry) -> int:
    return entry.last - entry.first + 1


def _gaps(
    covered: _Covered, vacated: Sequence[tuple[int, int]], findings: _Findings
) -> None:
    """Positions may be empty where archived and deleted runs have left them so."""
    spans = joined(vacated)
    for end, entry in covered.gaps:
        size = _size(entry)
        begins_after = entry.n - size
        overlaps = begins_after < end
        if overlaps or not within(spans, end + 1, begins_after):
            fault = f"log entry {entry.n} should be {end + size}"
            findings.add(2, entry.stream, fault)


def _closing(
    run: str, head: RunHead, summary: HistorySummary, findings: _Findings
) -> None:
    closings = summary.closings
    is_closed = head.status in CLOSED_RUN
    if is_closed != bool(closings):
        fault = (
            f"the head says {head.status}, the log has {len(closings)} closing events"
        )
        findings.add(4, run, fault)
    if closings and closings != [summary.end]:
        fault = f"closing events at versions {closings} of {summary.events}"
        findings.add(4, run, fault)


def _left_over(view: RunView, head: RunHead, findings: _Findings) -> None:
    if head.status not in CLOSED_RUN:
        return
    # Messages of a closed run to others are not left over: they stay until somebody has taken them in.
    members = [key for key in view.due if DueKey.parse(key).kind not in MESSAGES]
    ready = [key for _, key in view.ready]
    left_over = [*sorted(members), *sorted(ready)]
    if left_over or head.steps:
        fault = f"closed, but these are left: {left_over[:5]} {sorted(head.steps)[:5]}"
        findings.add(4, view.run, fault)


def _wake_ups(view: RunView, head: RunHead, findings: _Findings) -> None:
    """Look for the next wake-up of an open run, and whether each of its open steps is in exactly one index."""
    if head.status in CLOSED_RUN:
        return
    is_awake = head.status == "paused" or _is_woken(view)
    # Steps that wait for workers with one component lie apart, in "<queue>|<component>".
    ready = {(name.partition("|")[0], key) for name, key in view.ready}
    # A step in no index is not lost while a decision is due, or while the run stands still.
    stands_still = head.status not in ("running", "failing")
    may_be_in_none = stands_still or _decides(view)
    for step, record in head.steps.items():
        indexes = _indexes_of(view, step, record, ready)
        is_awake |= bool(indexes)
        _lease(view, step, record, findings)
        fewest = 0 if may_be_in_none else 1
        if not fewest <= len(indexes) <= 1:
            fault = f"step {step} is in {indexes or 'no place'}"
            findings.add(5, view.run, fault)
    if not is_awake:
        findings.add(5, view.run, f"{head.status}, and nothing will wake it up")


def _is_woken(view: RunView) -> bool:
    """Tell whether a due member wakes a run; its own limit does not, because it ends it and never moves it on."""
    limit = DueKey(DueKind.RUN_LIMIT, view.run).key()
    members = view.due - {limit}
    return any(DueKey.parse(member).kind in WAKES for member in members)


def _decides(view: RunView) -> bool:
    return DueKey(DueKind.DECISION, view.run).key() in view.due


def _is_due(view: RunView, kind: DueKind, step: str) -> bool:
    return DueKey(kind, view.run, step).key() in view.due


def _indexes_of(
    view: RunView, step: str, record: StepRecord, ready: Set[tuple[str, str]]
) -> list[str]:
    """Name the indexes that an open step is in: one that is in two would be claimed twice, or woken in vain."""
    retries = _is_due(view, DueKind.RETRY, step)
    waits_for_gates = _is_due(view, DueKind.GATES, step)
    is_in = {
        "ready": (record.queue, f"{view.run}|{step}") in ready,
        "lease": _is_due(view, DueKind.LEASE, step),
        "wait": retries or waits_for_gates,
    }
    return [index for index, there in is_in.items() if there]


def _lease(view: RunView, step: str, record: StepRecord, findings: _Findings) -> None:
    """Compare the record of a step, which holds its fence, with its lease in due, by which a relay takes it back."""
    if bool(record.fence) != _is_due(view, DueKind.LEASE, step):
        fault = f"step {step}: the record and the lease in due differ"
        findings.add(5, view.run, fault)
    if record.fence and record.expiry_ms < view.now_ms - OVERDUE_MS:
        fault = (
            f"step {step}: nobody works on it: the lease of {record.worker} "
            "ran out, and no relay has acted on it"
        )
        findings.add(5, view.run, fault)
