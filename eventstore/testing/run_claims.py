"""Who holds a step and for how long: the part of the contract of RunStore about claims and leases."""

from __future__ import annotations

import pytest

from eventstore.run_model import (
    Ability,
    ClaimRequest,
    Code,
    CommitClaim,
    Committed,
    Guard,
    Lease,
)
from eventstore.runs import RunStore
from eventstore.testing.commits import (
    LEASE,
    MINUTE,
    RUN,
    Later,
    builds,
    claim,
    decided,
    due,
    ready,
    started,
    steps,
    types,
)
from openagents_json.work_index import (
    DueKind,
    IndexChanges,
    RequeuedStep,
)


class RunClaimsContract:
    """The contract; each test gets a fresh store."""

    def test_a_ready_step_is_claimed_once_with_its_history(
        self, store: RunStore
    ) -> None:
        store.commit(started(ready("a")))
        [taken] = claim(store)
        assert (taken.lease.run, taken.lease.step, taken.lease.attempt) == (RUN, "a", 1)
        assert (taken.version, taken.scheduled_version, taken.lease.deadline_ms) == (
            3,
            2,
            0,
        )
        assert [item.type for item in taken.events] == [
            "RunStarted",
            "StepScheduled",
            "StepStarted",
        ]
        assert taken.events[-1].data == {
            "attempt": 1,
            "fence": taken.lease.fence,
            "step": "a",
            "worker": "w",
        }
        assert (taken.events[-1].commit, taken.events[-1].actor) == (taken.commit, "w")
        [head] = store.heads([RUN])
        assert head is not None
        assert (head.last_commit, head.version) == (taken.commit, 3)
        assert (head.steps["a"].fence, head.steps["a"].worker) == (
            taken.lease.fence,
            "w",
        )
        assert claim(store, name="k2") == ()

    def test_the_highest_priority_is_claimed_first_and_then_the_oldest(
        self, store: RunStore, later: Later
    ) -> None:
        store.commit(started(ready("old"), run="0-1"))
        later(1000)
        store.commit(started(ready("new"), run="0-2"))
        store.commit(started(ready("first", priority=9), run="0-3"))
        assert [steps(claim(store, at_most=1, name=f"k{i}")) for i in range(3)] == [
            ["first"],
            ["old"],
            ["new"],
        ]

    def test_a_claim_sent_again_gives_what_it_gave(self, store: RunStore) -> None:
        store.commit(started(ready("a"), ready("b")))
        [taken] = claim(store, at_most=1)
        [again] = claim(store, at_most=1)
        assert again.lease == taken.lease
        assert types(store).count("StepStarted") == 1
        [other] = claim(store, name="k2")
        assert other.lease.step != taken.lease.step

    def test_a_claim_says_all_of_its_event_and_what_it_came_behind(
        self, store: RunStore
    ) -> None:
        store.commit(started(ready("a"), ready("b")))
        first, second = claim(store)
        assert (first.previous, second.previous) == ("c1", first.commit)
        recorded = store.read_one(RUN, first.version)
        assert recorded is not None
        told = (first.lease.step, first.lease.fence, first.worker, first.time_ms)
        data = recorded.data
        assert told == (data["step"], data["fence"], data["worker"], recorded.time_ms)

    def test_a_claim_that_is_asked_again_does_not_say_what_it_came_behind(
        self, store: RunStore
    ) -> None:
        store.commit(started(ready("a")))
        claim(store)
        assert [item.previous for item in claim(store)] == [""]

    def test_a_claim_tells_of_its_worker_and_takes_what_that_can_run(
        self, store: RunStore
    ) -> None:
        store.commit(started(ready("a", component="new"), ready("b", component="no")))
        request = ClaimRequest(0, "q", 9, "k", "h", {"new": True, "no": False})
        [reply] = store.claim([request], worker="w", lease_ms=LEASE)
        assert (steps(reply.claimed), reply.unknown, reply.aside) == (["a"], (), 1)

    @pytest.mark.parametrize("with_the_claim", [True, False])
    def test_a_claim_says_which_build_the_worker_has(
        self, store: RunStore, with_the_claim: bool
    ) -> None:
        store.commit(started(ready("a", component="new"), ready("b", component="old")))
        able: dict[str, Ability] = {"new": 'git "4f2"', "old": True}
        if not with_the_claim:
            store.tell(0, "h", able)
        request = ClaimRequest(0, "q", 9, "k", "h", able if with_the_claim else {})
        store.claim([request], worker="w", lease_ms=LEASE)
        assert builds(store) == {"a": 'git "4f2"', "b": None}

    def test_a_commit_says_which_build_the_worker_has_that_it_claims_for(
        self, store: RunStore
    ) -> None:
        able: dict[str, Ability] = {"new": "2", "old": True}
        asked = CommitClaim("w", LEASE, 2, "q", able.__getitem__)
        steps = (ready("a", component="new"), ready("b", component="old"))
        store.commit(started(*steps, claim=asked))
        assert builds(store) == {"a": "2", "b": None}

    @pytest.mark.parametrize("with_the_claim", [True, False])
    def test_a_worker_may_have_very_many_components(
        self, store: RunStore, with_the_claim: bool
    ) -> None:
        store.commit(started(ready("a", component="c9998"), ready("b", component="no")))
        able = {f"c{n}": True for n in range(10_000)}
        if not with_the_claim:
            store.tell(0, "h", able)
        request = ClaimRequest(0, "q", 9, "k", "h", able if with_the_claim else {})
        [reply] = store.claim([request], worker="w", lease_ms=LEASE)
        assert (steps(reply.claimed), reply.unknown) == (["a"], ("no",))

    def test_a_queue_has_its_own_steps(self, store: RunStore) -> None:
        store.commit(started(ready("a", queue="other")))
        assert claim(store) == ()
        assert steps(claim(store, queue="other", name="k2")) == ["a"]

    def test_steps_of_a_run_that_has_stopped_are_not_claimed(
        self, store: RunStore
    ) -> None:
        begun = store.commit(started(ready("a")))
        paused = IndexChanges(status="paused", suspended=("a",))
        done = store.commit(decided(begun, "c1", "c2", changes=paused))
        assert claim(store) == ()
        store.commit(
            decided(
                done, "c2", "c3", changes=IndexChanges(status="running", resumed=("a",))
            )
        )
        assert steps(claim(store, name="k2")) == ["a"]

    def test_a_step_for_others_is_set_aside(self, store: RunStore) -> None:
        store.commit(started(ready("a", component="c")))
        request = ClaimRequest(0, "q", 9, "k1", "h")
        [reply] = store.claim([request], worker="w", lease_ms=LEASE)
        assert (reply.claimed, reply.unknown, reply.aside, reply.left) == (
            (),
            ("c",),
            0,
            1,
        )
        store.tell(0, "h", {"c": False})
        [reply] = store.claim([request], worker="w", lease_ms=LEASE)
        assert (reply.claimed, reply.unknown, reply.aside, reply.left) == ((), (), 1, 0)
        [seen] = store.due([0], ["q"])
        assert [(queue.count, dict(queue.aside)) for queue in seen.ready] == [
            (0, {"c": 1})
        ]
        store.tell(0, "able", {"c": True})
        assert steps(claim(store, having="able", name="k2")) == ["a"]

    def test_a_commit_claims_what_it_opens(self, store: RunStore) -> None:
        asked = CommitClaim("w", LEASE, 1, "q", lambda component: component != "other")
        commit = started(
            ready("o", component="other"), ready("a"), ready("b"), claim=asked
        )
        reply = store.commit(commit)
        assert [(x.step, x.attempt) for x in reply.leases] == [("a", 1)]
        assert types(store)[-1] == "StepStarted"
        assert reply.version == len(types(store))
        store.tell(0, "h", {"other": True})
        assert sorted(steps(claim(store))) == ["b", "o"]

    def test_a_lease_runs_out_and_is_looked_at_until_somebody_decides(
        self, store: RunStore, later: Later
    ) -> None:
        store.commit(started(ready("a")))
        [taken] = claim(store)
        assert due(store) == []
        later(LEASE + MINUTE)
        [reply] = store.due([0], ["q"], push_ms=LEASE)
        [member] = reply.members
        assert (member.kind, member.run, member.step) == (DueKind.LEASE, RUN, "a")
        assert (member.fence, member.begun) == (taken.lease.fence, False)
        assert due(store) == []
        later(LEASE + MINUTE)
        assert due(store) == [(DueKind.LEASE, "a")]

    def test_a_lease_that_is_extended_lasts(
        self, store: RunStore, later: Later
    ) -> None:
        store.commit(started(ready("a")))
        [taken] = claim(store)
        later(LEASE // 2)
        assert store.beat([taken.lease], LEASE, begin=True) == [1]
        later(LEASE // 2 + MINUTE)
        assert due(store) == []
        later(LEASE // 2)
        [reply] = store.due([0], ["q"])
        assert [(member.kind, member.begun) for member in reply.members] == [
            (DueKind.LEASE, True)
        ]

    def test_who_has_lost_a_lease_or_should_stop_hears_it(
        self, store: RunStore
    ) -> None:
        commit = started(
            ready("a"), ready("a~compensate"), changes=IndexChanges(cancel=True)
        )
        store.commit(commit)
        leases = sorted(
            (item.lease for item in claim(store)), key=lambda lease: lease.step
        )
        strange = Lease(RUN, "a", "1", 1, 0)
        assert store.beat([*leases, strange, Lease("0-no", "a", "1", 1, 0)], LEASE) == [
            2,
            1,
            0,
            0,
        ]

    def test_an_attempt_ends_when_its_time_is_over(
        self, store: RunStore, later: Later
    ) -> None:
        store.commit(started(ready("a", start_to_close_ms=5 * MINUTE)))
        [taken] = claim(store)
        assert taken.lease.deadline_ms == taken.events[-1].time_ms + 5 * MINUTE
        assert store.beat([taken.lease], LEASE) == [1]
        later(6 * MINUTE)
        assert due(store) == [(DueKind.START_TO_CLOSE, "a")]

    def test_a_guard_keeps_a_step_that_is_held(
        self, store: RunStore, later: Later
    ) -> None:
        store.commit(started(ready("a")))
        [taken] = claim(store)
        fence, requeued = (
            taken.lease.fence,
            IndexChanges(requeued=(RequeuedStep("a", 0, 0, 0),)),
        )

        def lost(commit: str, guard: Guard) -> Committed:
            return store.commit(
                decided(taken, taken.commit, commit, guard=guard, changes=requeued)
            )

        assert lost("c2", Guard("a", fence)).code is Code.HELD
        later(LEASE + MINUTE)
        assert lost("c3", Guard("a", "1")).code is Code.HELD
        assert lost("c3", Guard("no", fence)).code is Code.HELD
        store.beat([taken.lease], 0, begin=True)
        later(MINUTE)
        assert lost("c4", Guard("a", fence, unbegun=True)).code is Code.HELD
        assert lost("c5", Guard("a", fence)).code is Code.DONE
        assert store.beat([taken.lease], LEASE) == [0]
        assert [item.lease.attempt for item in claim(store, name="k2")] == [2]
