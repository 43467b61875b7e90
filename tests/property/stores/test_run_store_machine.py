"""The run store in memory beside the one in a server: whatever is asked of them, in whatever order, they do the same.

The clock of the memory adapter is set to the server's at each step, and time passes by making all that the server holds
older; durations are long, so that the time which a step takes itself makes no difference. Fences are times that only
their stores know, so they are compared by who holds which.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as s
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from eventstore import codec
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.memory.runs import MemoryRunStore
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import (
    ClaimRequest,
    Code,
    Commit,
    CommitClaim,
    Committed,
    Guard,
    Lease,
    RunHead,
)
from openagents_json.work_index import (
    DueKind,
    IndexChanges,
    ReadyStep,
    RequeuedStep,
    RestoredStep,
    Share,
    Timer,
)
from tests.aging import age
from tests.conftest import Server
from tests.examples import examples

MINUTE = 60_000
LEASE = 100 * MINUTE
RUNS = ("0-a", "0-b")
NAMES = ("s1", "s2", "s3~compensate")
PRIORITY = {
    (run, step): 10 * (1 + i)
    for i, (run, step) in enumerate((r, n) for r in RUNS for n in NAMES)
}
COMPONENTS = ("", "c1", "c2")
SHARES = (None, ("k1", 1), ("k1", 1), ("k2", 3))
CLAIMS = ("k1", "k2", "", "", "")  # those without a name are new ones
DURATIONS = s.sampled_from([0, 0, 30 * MINUTE, 300 * MINUTE])
KINDS = s.sampled_from(
    [DueKind.RUN_LIMIT, DueKind.DECISION, DueKind.GATES, DueKind.CHILD, DueKind.TIMER]
)
STATUSES = s.sampled_from(
    ["running"] * 8 + ["failing", "paused", "cancelling", "completed"]
)


def event(kind: str) -> tuple[str, bytes]:
    return kind, codec.encode({})


def shape(items: Sequence[Recorded]) -> list[tuple[int, int, str, str]]:
    """Say which events these are, without times and fences."""
    return [(item.version, item.position.n, item.type, item.actor) for item in items]


class RunStoreMachine(RuleBasedStateMachine):
    """Asks both stores the same and compares what they say, and what they are like afterwards."""

    def __init__(self, real: RedisRunStore) -> None:
        super().__init__()
        self.real = real
        self.now = real.now_ms()
        self.aged = 0
        self.model = MemoryRunStore(now_ms=lambda: self.now)
        self.leases: list[tuple[Lease, Lease]] = []
        self.commits: list[tuple[Commit, Commit]] = []
        self.last: dict[str, tuple[str, str]] = {}
        self.count = 0

    # -- commits -----------------------------------------------------------------------------------------

    def both(self, real: Commit, model: Commit) -> Committed:
        """Send a commit to both; they differ in fences, and in the ids of the commits of claims."""
        one = self.real.commit(real)
        self.now = one.time_ms + self.aged
        other = self.model.commit(model)
        assert (one.code, one.version, one.position) == (
            other.code,
            other.version,
            other.position,
        ), (real, one, other)
        assert shape(one.events) == shape(other.events)
        assert sorted(one.fenced) == sorted(other.fenced)
        assert [(x.step, x.attempt) for x in one.leases] == [
            (x.step, x.attempt) for x in other.leases
        ]
        self.leases += zip(one.leases, other.leases, strict=True)
        if one.code > 0 and real.events:
            self.commits.append((real, model))
        if one.code in (Code.DONE, Code.FACTS_ONLY):
            self._remember(real.run)
        return one

    def _remember(self, run: str) -> None:
        """Note which commit stands last on each log: those of claims have names of their own."""
        [one], [other] = self.real.heads([run]), self.model.heads([run])
        assert one is not None
        assert other is not None
        self.last[run] = one.last_commit, other.last_commit

    def changes(self, run: str, data: s.DataObject) -> IndexChanges:
        """Draw index changes that a decision of the core could have; a step is opened where there is none."""
        [head] = self.model.heads([run])
        there = sorted(head.steps) if head is not None else []
        closed = (
            data.draw(s.lists(s.sampled_from(there), max_size=2, unique=True))
            if there
            else []
        )
        kept = [step for step in there if step not in closed]
        held = [step for step in kept if head is not None and head.steps[step].fence]
        requeued = data.draw(s.lists(s.sampled_from(held), max_size=1)) if held else []
        free = [step for step in NAMES if step not in there] or ["s9"]
        new = data.draw(s.lists(s.sampled_from(free), max_size=2, unique=True))
        change = data.draw(s.sampled_from(["", "suspended", "resumed"]))
        left = tuple(step for step in kept if step not in requeued)
        status = data.draw(STATUSES) if head is not None else "running"
        drawn = [(step, data.draw(s.sampled_from(SHARES))) for step in new]
        return IndexChanges(
            status=status,
            shares=tuple(Share(step, *share) for step, share in drawn if share),
            cancel=data.draw(s.none() | s.booleans()),
            ready=tuple(
                self._ready(run, step, index, data) for index, step in enumerate(new, 1)
            ),
            requeued=tuple(
                RequeuedStep(x, data.draw(DURATIONS), data.draw(DURATIONS), 0, "c1")
                for x in requeued
            ),
            closed=tuple(closed),
            suspended=left if change == "suspended" else (),
            resumed=left if change == "resumed" else (),
            timers=tuple(
                Timer(kind, "", data.draw(DURATIONS))
                for kind in data.draw(s.lists(KINDS, max_size=2))
            ),
            removed=tuple((kind, "") for kind in data.draw(s.lists(KINDS, max_size=1))),
            settled=data.draw(s.booleans()),
        )

    def _ready(self, run: str, step: str, index: int, data: s.DataObject) -> ReadyStep:
        return ReadyStep(
            step=step,
            queue="q",
            priority=PRIORITY.get((run, step), 1 + RUNS.index(run)),
            start_to_close_ms=data.draw(DURATIONS),
            delay_ms=data.draw(DURATIONS),
            schedule_to_start_ms=data.draw(DURATIONS),
            total_ms=data.draw(DURATIONS),
            event_index=index,
            component=data.draw(s.sampled_from(COMPONENTS)),
        )

    def _claim(self, data: s.DataObject) -> CommitClaim | None:
        can = data.draw(s.sampled_from(COMPONENTS))
        claim = CommitClaim(
            "w", LEASE, 1, "q", lambda component: component in ("", can)
        )
        return claim if data.draw(s.booleans()) else None

    def _id(self) -> str:
        self.count += 1
        return f"c{self.count}"

    @initialize(data=s.data())
    def begin(self, data: s.DataObject) -> None:
        """Let there be something to claim, and somebody who knows what it can run."""
        for component in COMPONENTS[1:]:
            self.tell("h1", component, can=True)
        for run in RUNS:
            self.start(run, data)

    @precondition(lambda self: self.count % 7 == 0)
    @rule(run=s.sampled_from(RUNS), data=s.data())
    def start(self, run: str, data: s.DataObject) -> None:
        [head] = self.model.heads([run])
        changes = self.changes(run, data) if head is None else IndexChanges()
        commit = Commit(
            run,
            "new",
            self._id(),
            (event("RunStarted"),) * 2,
            changes=changes,
            claim=self._claim(data),
        )
        self.both(commit, commit)

    @rule(
        run=s.sampled_from(RUNS), behind=s.sampled_from([0, 0, 0, 1, -1]), data=s.data()
    )
    def decide(self, run: str, behind: int, data: s.DataObject) -> None:
        [head] = self.model.heads([run])
        version = head.version - behind if head is not None else 1
        one, other = self.last.get(run, ("x", "x"))
        changes = self.changes(run, data) if head is not None else IndexChanges()
        guard = self._guard(run, data)
        real = Commit(
            run,
            "cas",
            self._id(),
            (event("Noted"),),
            version,
            one,
            changes=changes,
            claim=self._claim(data),
        )
        guards = (None, None) if guard is None else guard
        self.both(
            replace(real, guard=guards[0]),
            replace(real, last_commit=other, guard=guards[1]),
        )

    def _guard(self, run: str, data: s.DataObject) -> tuple[Guard, Guard] | None:
        held = [pair for pair in self.leases if pair[0].run == run]
        if not held or data.draw(s.integers(0, 2)):
            return None
        one, other = data.draw(s.sampled_from(held))
        unbegun = data.draw(s.booleans())
        return Guard(one.step, one.fence, unbegun), Guard(
            other.step, other.fence, unbegun
        )

    def _leases(self, data: s.DataObject) -> list[tuple[Lease, Lease]]:
        """Return leases to act by: most often those that are held, else any that ever were."""
        heads = {
            run: head
            for run, head in zip(RUNS, self.model.heads(RUNS), strict=True)
            if head is not None
        }
        held = [
            pair
            for pair in self.leases
            if (step := heads[pair[1].run].steps.get(pair[1].step)) is not None
            and step.fence == pair[1].fence
        ]
        of_any = not held or data.draw(s.integers(0, 4)) == 0
        return self.leases if of_any else held

    def _at(self, run: str, version: int) -> tuple[str, str]:
        """Return the commit of an event on both logs, as those of claims have names of their own."""
        [[one, *_]], [[other, *_]] = (
            store.read([(run, version - 1)]) for store in (self.real, self.model)
        )
        return one.commit, other.commit

    @rule(
        data=s.data(),
        behind=s.sampled_from([0, 0, 1, 2]),
        whole=s.booleans(),
        stands=s.booleans(),
    )
    def outcomes(
        self, data: s.DataObject, behind: int, whole: bool, stands: bool
    ) -> None:
        """Record outcomes by leases, current and lost ones, as one that has seen everything or not."""
        if not self.leases:
            return
        first = data.draw(s.sampled_from(self._leases(data)))
        run = first[0].run
        [head] = self.model.heads([run])
        assert head is not None
        others = [
            pair
            for pair in self.leases
            if pair[0].run == run and pair[0].step != first[0].step
        ]
        pairs = [
            first,
            *(data.draw(s.lists(s.sampled_from(others), max_size=1)) if others else []),
        ]
        finals = [data.draw(s.booleans()) for _ in pairs]
        requeued = [
            x
            for x, final in zip(pairs, finals, strict=True)
            if not final and x[0].step in head.steps
        ]
        changes = IndexChanges(
            requeued=tuple(
                RequeuedStep(x[0].step, data.draw(DURATIONS), 0, 0) for x in requeued
            ),
            timers=(Timer(DueKind.RUN_LIMIT, "", MINUTE),),
        )
        events = (*(event("StepCompleted") for _ in pairs), event("Decided"))
        one, other = self.last[run]
        if stands and head.version > behind:
            one, other = self._at(run, head.version - behind)
        real = Commit(
            run,
            "fact",
            self._id(),
            events,
            head.version - behind,
            one,
            "w",
            facts=tuple(
                (x[0].step, x[0].fence, final)
                for x, final in zip(pairs, finals, strict=True)
            ),
            fact_events=len(pairs),
            changes=changes,
            whole=whole,
            stands=stands,
        )
        facts = tuple(
            (x[1].step, x[1].fence, final)
            for x, final in zip(pairs, finals, strict=True)
        )
        self.both(real, replace(real, last_commit=other, facts=facts))

    @precondition(lambda self: self.count % 3 == 0)
    @rule(data=s.data())
    def send_again(self, data: s.DataObject) -> None:
        if self.commits:
            real, model = data.draw(s.sampled_from(self.commits))
            assert self.both(real, model).code is not Code.DONE

    @rule(run=s.sampled_from(RUNS), ready=s.booleans())
    def restore(self, run: str, ready: bool) -> None:
        [head] = self.model.heads([run])
        if head is None or "old" in head.steps:
            return
        step = RestoredStep("old", "q", 5 + RUNS.index(run), 0, 2, 1, "", ready, "c2")
        (one, other), changes = self.last[run], IndexChanges(restored=(step,))
        real = Commit(run, "cas", self._id(), (), head.version, one, changes=changes)
        self.both(real, replace(real, last_commit=other))

    # -- workers -----------------------------------------------------------------------------------------

    @rule(
        at_most=s.integers(1, 4),
        name=s.sampled_from(["k1", "k2", "", "", ""]),
        having=s.sampled_from(["h1", "h1", "h2"]),
    )
    def claim(self, at_most: int, name: str, having: str) -> None:
        request = ClaimRequest(0, "q", at_most, name or self._id(), having)
        [one] = self.real.claim([request], worker="w", lease_ms=LEASE)
        self.now = one.time_ms + self.aged
        [other] = self.model.claim([request], worker="w", lease_ms=LEASE)
        assert (one.left, one.aside) == (other.left, other.aside)
        assert set(other.unknown) <= set(
            one.unknown
        )  # the server may ask about steps that were set aside before
        for x, y in zip(one.claimed, other.claimed, strict=True):
            assert (x.lease.run, x.lease.step, x.lease.attempt) == (
                y.lease.run,
                y.lease.step,
                y.lease.attempt,
            )
            assert (x.version, x.scheduled_version, shape(x.events)) == (
                y.version,
                y.scheduled_version,
                shape(y.events),
            )
            assert (x.lease.deadline_ms > 0) == (y.lease.deadline_ms > 0)
            self.leases.append((x.lease, y.lease))
            self._remember(x.lease.run)

    @rule(
        having=s.sampled_from(["h1", "h2"]),
        component=s.sampled_from(COMPONENTS[1:]),
        can=s.booleans(),
    )
    def tell(self, having: str, component: str, can: bool) -> None:
        for store in (self.real, self.model):
            store.tell(0, having, {component: can})

    @rule(data=s.data(), begin=s.booleans())
    def beat(self, data: s.DataObject, begin: bool) -> None:
        if self.leases:
            pairs = data.draw(
                s.lists(s.sampled_from(self._leases(data)), min_size=1, max_size=3)
            )
            self.now = self.real.now_ms() + self.aged
            replies = self.real.beat([one for one, _ in pairs], LEASE, begin=begin)
            assert replies == self.model.beat(
                [other for _, other in pairs], LEASE, begin=begin
            )

    # -- time --------------------------------------------------------------------------------------------

    @rule(minutes=s.sampled_from([50, 150, 400]))
    def wait(self, minutes: int) -> None:
        ms = minutes * MINUTE + MINUTE // 2
        age(self.real, ms)
        self.aged += ms
        self.now += ms

    @rule()
    def due(self) -> None:
        [one] = self.real.due([0], ["q"], push_ms=LEASE)
        self.now = one.time_ms + self.aged
        [other] = self.model.due([0], ["q"], push_ms=LEASE)
        fences = {
            (real.run, real.step, model.fence): real.fence
            for real, model in self.leases
        }
        assert sorted(
            (m.member, m.kind, m.begun, m.fence) for m in one.members
        ) == sorted(
            (m.member, m.kind, m.begun, fences.get((m.run, m.step, m.fence), m.fence))
            for m in other.members
        )
        assert one.refilled == other.refilled
        [ready], [kept] = one.ready, other.ready
        assert (ready.count, dict(ready.aside)) == (kept.count, dict(kept.aside))
        assert (one.next_ms < 0) == (other.next_ms < 0)
        assert abs(one.next_ms - other.next_ms) < MINUTE

    # -- what they are like ------------------------------------------------------------------------------

    @invariant()
    def heads_are_the_same(self) -> None:
        for run, one, other in zip(
            RUNS, self.real.heads(RUNS), self.model.heads(RUNS), strict=True
        ):
            assert self._plain(one, real=True) == self._plain(other, real=False), run
        for one_run, other_run in zip(
            self.real.read([(run, 0) for run in RUNS]),
            self.model.read([(run, 0) for run in RUNS]),
            strict=True,
        ):
            assert shape(one_run) == shape(other_run)

    @invariant()
    def indexes_are_the_same(self) -> None:
        work = self.model._partitions[0].work
        read = self.real.connection.command
        due = {
            member.decode() for member in read(b"ZRANGE", self.real.keys.due(0), 0, -1)
        }
        assert due == {key.key() for key, _ in self.model.waiting()}
        for queue in ("q", *(f"q|{component}" for component in COMPONENTS[1:])):
            ready = [
                member.decode()
                for member in read(b"ZRANGE", self.real.keys.ready(0, queue), 0, -1)
            ]
            name, _, component = queue.partition("|")
            assert ready == [
                f"{run}|{step}" for (run, step), _ in work.queue(name, component)
            ], queue
        self._shares_are_the_same()
        for run in RUNS:
            for step, record in (
                work.heads[run].steps if run in work.heads else {}
            ).items():
                worker = read(b"HGET", self.real.keys.head(run), f"s:{step}").split(
                    b"|"
                )[7]
                assert worker.startswith(b"?") == (not record.begun), (run, step)

    def _shares_are_the_same(self) -> None:
        """Compare whose steps wait by their keys, and in which order keys get their turns."""
        fair = self.model._partitions[0].work.fair.of("q")
        read, base = self.real.connection.command, self.real.keys.ready(0, "")
        base = base.removesuffix(b"ready:")
        ring = [key.decode() for key in read(b"ZRANGE", base + b"ring:q", 0, -1)]
        assert ring == list(fair.ring)
        turn = fair.turn and f"{fair.turn[1]}|{fair.turn[0]}".encode()
        assert read(b"GET", base + b"turn:q") == turn
        lines = {
            key: [f"{run}|{step}" for (run, step), _ in line]
            for key, line in fair.lines.items()
        }
        for key, line in lines.items():
            stored = read(b"ZRANGE", base + f"fair:q|{key}".encode(), 0, -1)
            assert [member.decode() for member in stored] == line
        counted = read(b"ZRANGE", base + b"fair:q", 0, -1)
        assert {member.decode() for member in counted} == {
            member for line in lines.values() for member in line
        }

    def _plain(self, head: RunHead | None, *, real: bool) -> Any:
        """Say what a head is like, with the number of the claim in the place of a fence."""
        if head is None:
            return None
        own = [pair[0 if real else 1] for pair in self.leases]
        fences = {(x.step, x.fence): i for i, x in enumerate(own) if x.run == head.run}
        steps = {
            name: (
                x.queue,
                x.priority,
                x.attempt,
                x.scheduled_version,
                sorted(x.flags),
                fences[name, x.fence] if x.fence else "",
                x.worker,
                x.expiry_ms > 0,
                x.deadline_ms > 0,
            )
            for name, x in head.steps.items()
        }
        return head.version, head.status, head.cancel, steps


@pytest.mark.slow
@pytest.mark.damages_store("its events are made up, and its runs end in the middle")
def test_both_stores_do_the_same(server: Server) -> None:
    connection = server.connect()

    def machine() -> RunStoreMachine:
        return RunStoreMachine(RedisRunStore(connection, Keyspace(server.prefix(), 1)))

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]
        settings=settings(max_examples=examples(30), stateful_step_count=40),
    )
