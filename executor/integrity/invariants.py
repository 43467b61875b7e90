"""What must hold of a store at any moment: one function that tests, chaos runs and `openagents doctor` share.

The numbers are those of the design's list of invariants. A look at a whole store cannot be one moment, so on one that
is written to, a finding counts only when it is still there in a look that is: `confirmed` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from eventstore.event import Recorded
from eventstore.intervals import joined, within
from eventstore.redis.upkeep.inspection import Inspector, LogEntry, LogTails, RunView
from eventstore.run_model import RunHead
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
    items: list[Violation] = field(default_factory=list)

    def add(self, number: int, run: str, what: str) -> None:
        self.items.append(Violation(number, self.partition, run, what))


@dataclass(slots=True)
class _Covered:
    """What a log says: the last entry of each stream, where it ends, and which entries stand behind a gap."""

    entries: dict[str, LogEntry] = field(default_factory=dict)
    last: LogEntry | None = None
    gaps: list[tuple[int, LogEntry]] = field(default_factory=list)

    @property
    def known(self) -> LogTails:
        return LogTails(self.entries, self.last)


def check(
    inspector: Inspector, partitions: Iterable[int], *, deep: bool = False
) -> list[Violation]:
    """Look once at every run of some partitions.

    Events are read only of runs that do not look right from outside: where head, stream and log do not agree on the
    last event, or its type on whether the run has ended. With `deep`, those of all runs are. On a store that is written
    to, runs move on between the reads of one look: `confirmed` looks at what was found again.
    """
    found: list[Violation] = []
    inspector.find()
    for partition in partitions:
        covered, findings = _logged(inspector, partition)
        indexes = inspector.indexes(partition)
        streams = sorted(covered.entries.keys() | inspector.streams(partition))
        _look(
            inspector,
            inspector.views(partition, covered.known, indexes, streams),
            findings,
            deep=deep,
        )
        found += findings.items
    return found


def confirmed(
    inspector: Inspector, partitions: Iterable[int], *, deep: bool = False
) -> list[Violation]:
    """Look, and keep of what was found what is still so when each run is looked at with all its keys at one moment."""
    first = set(check(inspector, partitions, deep=deep))
    found: list[Violation] = []
    for partition in sorted({violation.partition for violation in first}):
        covered, findings = _logged(inspector, partition)
        runs = sorted({x.run for x in first if x.partition == partition and x.run})
        _look(
            inspector,
            inspector.moment(partition, covered.known, runs),
            findings,
            deep=True,
        )
        found += (violation for violation in findings.items if violation in first)
    return sorted(set(found))


def _logged(inspector: Inspector, partition: int) -> tuple[_Covered, _Findings]:
    """Read the log of a partition, and check it by itself."""
    findings = _Findings(partition)
    covered = _log(inspector.log(partition), findings)
    n, end = inspector.counter(partition), covered.last.n if covered.last else 0
    if n != end:
        findings.add(2, "", f"the counter says {n}, the log ends at {end}")
    if covered.gaps:
        noted = [run for run in covered.entries if run.endswith("-archive")]
        _gaps(
            covered,
            [
                span
                for _, history in inspector.histories(noted)
                for span in _left(history)
            ],
            findings,
        )
    return covered, findings


def _look(
    inspector: Inspector, views: Iterable[RunView], findings: _Findings, *, deep: bool
) -> None:
    if not deep:
        views = _odd(views, findings)
    for view, events in inspector.courses(views):
        steps = view.head is not None and bool(view.head.status)
        _run(view, HistorySummary.of(view.run, events, steps=steps), findings)


def _odd(views: Iterable[RunView], findings: _Findings) -> Iterator[RunView]:
    """Check runs from outside, and give those of which that is not enough."""
    for view in views:
        if not _fits(view):
            yield view
        elif view.head is not None and view.head.status:
            _left_over(view, view.head, findings)
            _places(view, view.head, findings)


def _fits(view: RunView) -> bool:
    """Tell whether all that can be seen of the events of a run from outside says the same."""
    head = view.head
    if head is None or head.adopting:
        return head is None and not view.events and not view.logged  # it has left since
    closed = head.status in CLOSED_RUN
    return (
        head.version == view.events == view.last == view.logged
        and head.last_commit == view.commit
        and (closed == (view.kind in CLOSED_AS) or not head.status)
    )


def _run(view: RunView, course: HistorySummary, findings: _Findings) -> None:
    run, head = view.run, view.head
    if course.events != view.events or not (view.events or view.logged or head):
        return  # it has left the store while it was read
    if not view.logged and not (head and head.adopting):
        findings.add(2, run, "the run has events, and the log does not know of it")
        return
    if head is not None and head.adopting:
        findings.add(
            1,
            run,
            f"it came from elsewhere, and only in part: {course.events} events, then it was cut off",
        )
        return
    if view.logged != course.events:
        findings.add(2, run, f"the log covers {view.logged} of {course.events} events")
    if head is None:
        findings.add(1, run, "the run has events but no head")
        return
    _versions(run, head, course, findings)
    if head.status:  # else it is a stream of somebody else's, not a run
        for number, what in course.faults():
            findings.add(number, run, what)
        _closing(view, head, course, findings)
        _left_over(view, head, findings)
        _places(view, head, findings)


def _versions(
    run: str, head: RunHead, course: HistorySummary, findings: _Findings
) -> None:
    for version, why in course.unreadable[:5]:
        findings.add(1, run, f"event {version} cannot be read ({why[:100]})")
    if course.misplaced:
        findings.add(
            1, run, f"versions are not 1..{course.events}: {course.misplaced[:20]}"
        )
    if head.version != course.events:
        findings.add(
            1,
            run,
            f"the head says version {head.version}, the log has {course.events} events",
        )
    if course.events and head.last_commit != course.commit:
        findings.add(
            1,
            run,
            f"the head says commit {head.last_commit}, the log ends with {course.commit}",
        )
    for commit in course.again:
        findings.add(6, run, f"commit {commit} is there again behind another one")


def _log(log: Iterable[LogEntry], findings: _Findings) -> _Covered:
    covered = _Covered()
    entries, n = covered.entries, 0
    for entry in log:
        before = entry.n - (entry.last - entry.first + 1)
        if before != n:
            covered.gaps.append((n, entry))
        n = entry.n
        known = entries.get(entry.stream)
        last = known.last if known else 0
        if entry.first != last + 1:
            findings.add(
                2, entry.stream, f"log covers version {entry.first} after {last}"
            )
        entries[entry.stream] = covered.last = entry
    return covered


def _gaps(
    covered: _Covered, left: Sequence[tuple[int, int]], findings: _Findings
) -> None:
    """Positions may be empty where archived and deleted runs have left them so."""
    spans = joined(left)
    for n, entry in covered.gaps:
        size = entry.last - entry.first + 1
        if entry.n - size < n or not within(spans, n + 1, entry.n - size):
            findings.add(2, entry.stream, f"log entry {entry.n} should be {n + size}")


def _left(history: Sequence[Recorded]) -> list[tuple[int, int]]:
    """Return the positions that archived and deleted runs have left empty, from the first to the last of each piece."""
    return [
        (first, last)
        for item in history
        for first, last in item.data.get("positions") or ()
    ]


def _closing(
    view: RunView, head: RunHead, course: HistorySummary, findings: _Findings
) -> None:
    closings = course.closings
    if (head.status in CLOSED_RUN) != bool(closings):
        findings.add(
            4,
            view.run,
            f"the head says {head.status}, the log has {len(closings)} closing events",
        )
    if closings and (len(closings) > 1 or closings[0] != course.end):
        findings.add(
            4, view.run, f"closing events at versions {closings} of {course.events}"
        )


def _left_over(view: RunView, head: RunHead, findings: _Findings) -> None:
    if head.status in CLOSED_RUN:
        left = sorted(
            member for member in view.due if DueKey.parse(member).kind not in MESSAGES
        )
        left += sorted(key for _, key in view.ready)
        if left or head.steps:
            findings.add(
                4,
                view.run,
                f"closed, but these are left: {left[:5]} {sorted(head.steps)[:5]}",
            )


def _places(view: RunView, head: RunHead, findings: _Findings) -> None:
    if head.status in CLOSED_RUN:
        return
    run, due = view.run, view.due
    missing = DueKey(DueKind.DECISION, run).key() in due
    limit = DueKey(DueKind.RUN_LIMIT, run).key()
    awake = (
        any(DueKey.parse(member).kind in WAKES and member != limit for member in due)
        or head.status == "paused"
    )
    waiting = {(name.partition("|")[0], key) for name, key in view.ready}
    for step, record in head.steps.items():
        key = f"{run}|{step}"
        leased = DueKey(DueKind.LEASE, run, step).key() in due
        waits = any(
            DueKey(kind, run, step).key() in due
            for kind in (DueKind.RETRY, DueKind.GATES)
        )
        named = (
            ("ready", (record.queue, key) in waiting),
            ("lease", leased),
            ("wait", waits),
        )
        places = [name for name, there in named if there]
        awake = awake or bool(places)
        if bool(record.fence) != leased:
            findings.add(5, run, f"step {step}: the record and the lease in due differ")
        if record.fence and record.expiry_ms < view.now_ms - OVERDUE_MS:
            what = (
                f"step {step}: nobody works on it: the lease of {record.worker} "
                "ran out, and no relay has acted on it"
            )
            findings.add(5, run, what)
        if len(places) > 1 or (
            not places and not missing and head.status in ("running", "failing")
        ):
            findings.add(5, run, f"step {step} is in {places or 'no place'}")
    if not awake:
        findings.add(5, run, f"{head.status}, and nothing will wake it up")
