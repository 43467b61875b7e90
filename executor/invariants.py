"""What must hold of a store at any moment: one function that tests, chaos runs and `openagents doctor` share.

The numbers are those of the design's list of invariants. Reads are not atomic over keys, so on a store that is being
written to, a finding counts only when a second look confirms it: `confirmed` does that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from eventstore.event import Recorded
from eventstore.inspect import Inspector, LogEntry, PartitionView
from eventstore.run_model import RunHead
from eventstore.spans import joined, within

AFTERWARDS = frozenset({"RunRedacted", "RunHeld", "RunHoldReleased"})
"""What may be noted about a run after its end."""

CLOSED = frozenset({"completed", "failed", "cancelled"})
CLOSING = frozenset({"RunCompleted", "RunFailed", "RunCancelled"})
OUTCOMES = frozenset({"StepCompleted", "StepFailed", "StepTimedOut", "StepLeaseLost", "StepReleased"})

MESSAGES = frozenset("cpux")
"""Due members of messages to other runs and keys, which a closed run may still have to send."""

WAKES = frozenset("wktngcR")
"""Due members that wake a run, or stand for something from outside that will."""

OVERDUE_MS = 30_000
"""How long a lease may have run out before it is strange that no relay has moved its step back."""

BETWEEN = frozenset({"total", "schedule_to_start"})
"""Limits that may end a step between two attempts."""


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
    """What a log says: up to which version of each stream, where it ends, and which entries stand behind a gap."""

    versions: dict[str, int] = field(default_factory=dict)
    n: int = 0
    gaps: list[tuple[int, LogEntry]] = field(default_factory=list)


def check(inspector: Inspector, partitions: Iterable[int]) -> list[Violation]:
    """Check every run of some partitions; in memory are a few runs at a time, and of the others only their heads."""
    found: list[Violation] = []
    inspector.find_queues()
    inspector.find_streams()
    for partition in partitions:
        findings = _Findings(partition)
        covered = _log(inspector.log(partition), findings)
        view = inspector.partition(partition, covered.versions)
        if view.n != covered.n:
            findings.add(2, "", f"the counter says {view.n}, the log ends at {covered.n}")
        left: list[tuple[int, int]] = []
        for run, history in inspector.histories(sorted(covered.versions)):
            if run.endswith("-archive"):
                left += _left(history)
            _run(run, history, covered, view, findings)
        _gaps(covered, left, findings)
        for run in sorted(inspector.streams(partition) - covered.versions.keys()):
            findings.add(2, run, "the run has events, and the log does not know of it")
        found += findings.items
    return found


def _run(run: str, history: Sequence[Recorded], covered: _Covered, view: PartitionView, findings: _Findings) -> None:
    if covered.versions[run] != len(history):
        findings.add(2, run, f"the log covers {covered.versions[run]} of {len(history)} events")
    head = view.heads.get(run)
    if head is None:
        findings.add(1, run, "the run has events but no head")
        return
    _versions(run, head, history, findings)
    if head.status:  # else it is a stream of somebody else's, not a run
        _attempts(run, history, findings)
        _closing(run, head, history, view, findings)
        _places(run, head, view, findings)


def confirmed(inspector: Inspector, partitions: Sequence[int]) -> list[Violation]:
    """Check twice and keep what was seen both times: a live store moves between two reads."""
    first = set(check(inspector, partitions))
    return sorted(first & set(check(inspector, sorted({v.partition for v in first})))) if first else []


def _versions(run: str, head: RunHead, history: Sequence[Recorded], findings: _Findings) -> None:
    versions = [item.version for item in history]
    if versions != list(range(1, len(versions) + 1)):
        findings.add(1, run, f"versions are not 1..{len(versions)}: {versions[:20]}")
    if head.version != len(versions):
        findings.add(1, run, f"the head says version {head.version}, the log has {len(versions)} events")
    if history and head.last_commit != history[-1].commit:
        findings.add(1, run, f"the head says commit {head.last_commit}, the log ends with {history[-1].commit}")
    commits: list[str] = []
    for item in history:
        if not commits or commits[-1] != item.commit:
            commits.append(item.commit)
    for commit, count in Counter(commits).items():
        if count > 1:
            findings.add(6, run, f"commit {commit} is there {count} times")


def _log(log: Iterable[LogEntry], findings: _Findings) -> _Covered:
    covered = _Covered()
    versions, n = covered.versions, 0
    for entry in log:
        before = entry.n - (entry.last - entry.first + 1)
        if before != n:
            covered.gaps.append((n, entry))
        n = entry.n
        if entry.first != versions.get(entry.stream, 0) + 1:
            findings.add(2, entry.stream, f"log covers version {entry.first} after {versions.get(entry.stream, 0)}")
        versions[entry.stream] = entry.last
    covered.n = n
    return covered


def _gaps(covered: _Covered, left: Sequence[tuple[int, int]], findings: _Findings) -> None:
    """Positions may be empty where archived and deleted runs have left them so."""
    spans = joined(left)
    for n, entry in covered.gaps:
        size = entry.last - entry.first + 1
        if entry.n - size < n or not within(spans, n + 1, entry.n - size):
            findings.add(2, entry.stream, f"log entry {entry.n} should be {n + size}")


def _left(history: Sequence[Recorded]) -> list[tuple[int, int]]:
    """Give the positions that archived and deleted runs have left empty, from the first to the last of each piece."""
    return [(first, last) for item in history for first, last in item.data.get("positions") or ()]


def _attempts(run: str, history: Sequence[Recorded], findings: _Findings) -> None:
    scheduled: set[str] = set()
    started: set[tuple[str, int]] = set()
    ended: Counter[tuple[str, int]] = Counter()
    fence = 0
    for item in history:
        data = item.data if isinstance(item.data, dict) else {}
        step, attempt = str(data.get("step")), int(data.get("attempt", 0))
        if item.type in ("StepScheduled", "CompensationScheduled"):
            scheduled.add(step if item.type == "StepScheduled" else str(data.get("compensation")))
        elif item.type == "StepStarted":
            fence = _start(run, (step, attempt), int(data["fence"]), scheduled, started, fence, findings)
        elif item.type in OUTCOMES and attempt and not (ended[step, attempt] and data.get("kind") in BETWEEN):
            ended[step, attempt] += item.type != "StepLeaseLost"
            if (step, attempt) not in started:
                findings.add(3, run, f"attempt {attempt} of step {step} ended without a start")
    for (step, attempt), count in ended.items():
        if count > 1:
            findings.add(3, run, f"attempt {attempt} of step {step} has {count} outcomes")


def _start(
    run: str,
    attempt: tuple[str, int],
    fence: int,
    scheduled: set[str],
    started: set[tuple[str, int]],
    last: int,
    findings: _Findings,
) -> int:
    step, number = attempt
    if step not in scheduled:
        findings.add(3, run, f"step {step} was started without a schedule")
    if attempt in started:
        findings.add(3, run, f"attempt {number} of step {step} was claimed twice")
    if fence <= last:
        findings.add(7, run, f"the fence of step {step}, attempt {number} did not rise")
    started.add(attempt)
    return fence


def _closing(run: str, head: RunHead, history: Sequence[Recorded], view: PartitionView, findings: _Findings) -> None:
    again = max((item.version for item in history if item.type == "RunReopened"), default=0)
    closings = [item.version for item in history if item.type in CLOSING and item.version > again]
    if (head.status in CLOSED) != bool(closings):
        findings.add(4, run, f"the head says {head.status}, the log has {len(closings)} closing events")
    course = max((item.version for item in history if item.type not in AFTERWARDS), default=0)
    if closings and (len(closings) > 1 or closings[0] != course):
        findings.add(4, run, f"closing events at versions {closings} of {len(history)}")
    if head.status in CLOSED:
        left = sorted(m for m in view.due if m[2:].partition("|")[0] == run and m[0] not in MESSAGES)
        left += sorted(key for members in view.ready.values() for key in members if key.partition("|")[0] == run)
        if left or head.steps:
            findings.add(4, run, f"closed, but these are left: {left[:5]} {sorted(head.steps)[:5]}")


def _places(run: str, head: RunHead, view: PartitionView, findings: _Findings) -> None:
    if head.status in CLOSED:
        return
    missing = f"w|{run}" in view.due
    own = {m for m in view.due if m[0] in WAKES and m[2:].partition("|")[0] == run}
    awake = bool(own - {f"R|{run}"}) or head.status == "paused"
    for step, record in head.steps.items():
        key = f"{run}|{step}"
        ready = key in view.ready.get(record.queue, frozenset())
        leased, waits = f"l|{key}" in view.due, f"r|{key}" in view.due or f"g|{key}" in view.due
        places = [name for name, there in (("ready", ready), ("lease", leased), ("wait", waits)) if there]
        awake = awake or bool(places)
        if bool(record.fence) != leased:
            findings.add(5, run, f"step {step}: the record and the lease in due differ")
        if record.fence and record.expiry_ms < view.now_ms - OVERDUE_MS:
            what = (
                f"step {step}: nobody works on it: the lease of {record.worker} ran out, and no relay has acted on it"
            )
            findings.add(5, run, what)
        if len(places) > 1 or (not places and not missing and head.status in ("running", "failing")):
            findings.add(5, run, f"step {step} is in {places or 'no place'}")
    if not awake:
        findings.add(5, run, f"{head.status}, and nothing will wake it up")
