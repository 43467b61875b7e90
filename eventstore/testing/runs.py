"""What every adapter of RunStore has to do, as tests that any adapter can run.

Make a class of your tests that inherits `RunStoreContract` and has a fixture `store`, an empty store with one
partition, and `later`, a function that lets so many ms pass in it. Times in here are long, so that the time which a
test takes itself makes no difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from eventstore.errors import BlobMissing
from eventstore.run_model import (
    Blob,
    ClaimRequest,
    ClaimWish,
    Code,
    Commit,
    Committed,
    Guard,
    Lease,
)
from eventstore.runs import RunStore, WakeUp
from eventstore.testing.commits import (
    LEASE,
    MINUTE,
    RUN,
    claim,
    decided,
    due,
    event,
    fact,
    ready,
    started,
    steps,
    types,
)
from eventstore.testing.run_times import RunTimesContract
from openagents_json.work_index import (
    DueKind,
    IndexChanges,
    RequeuedStep,
    Timer,
)

Later = Callable[[int], None]


class RunStoreContract(RunTimesContract):
    """The contract; each test gets a fresh store."""

    # -- commits -----------------------------------------------------------------------------------------

    def test_a_start_writes_events_and_head(self, store: RunStore) -> None:
        commit = started(
            ready("a"), actor="me", cause="why", definition="d", workflow="w"
        )
        reply = store.commit(commit)
        assert (reply.code, reply.version, reply.position) == (Code.DONE, 2, 2)
        [head] = store.heads([RUN])
        assert head is not None
        assert (head.version, head.last_commit, head.status) == (2, "c1", "running")
        assert (head.definition, head.workflow, head.cancel) == ("d", "w", False)
        assert list(head.steps) == ["a"]
        assert (
            head.steps["a"].queue,
            head.steps["a"].scheduled_version,
            head.steps["a"].fence,
        ) == ("q", 2, "")
        first, second = store.read([(RUN, 0)])[0]
        assert (first.type, first.version, first.position.n, first.commit) == (
            "RunStarted",
            1,
            1,
            "c1",
        )
        assert (first.actor, first.cause, first.time_ms) == ("me", "why", reply.time_ms)
        assert (second.type, second.data) == ("StepScheduled", {"step": "a"})

    def test_a_run_is_read_from_anywhere(self, store: RunStore) -> None:
        store.commit(started(ready("a"), ready("b")))
        assert store.first(RUN).version == 1
        assert [item.version for item in store.read([(RUN, 1)])[0]] == [2, 3]
        one, none = store.read_one(RUN, 3), store.read_one(RUN, 4)
        assert (one is not None and one.data, none) == ({"step": "b"}, None)
        assert store.wait(RUN, 2, 1)[0].version == 3
        assert store.wait(RUN, 3, 1) == ()
        last, nothing = store.last(RUN), store.last("0-no")
        assert (last is not None and last.version, nothing) == (3, None)

    def test_a_run_that_is_not_there_has_nothing(self, store: RunStore) -> None:
        assert store.heads(["0-no"]) == [None]
        assert store.statuses(["0-no"]) == [""]
        assert store.read([("0-no", 0)]) == [()]
        assert (
            store.commit(Commit("0-no", "cas", "c", (event("Noted"),), 1, "b")).code
            is Code.UNKNOWN
        )

    def test_a_start_sent_twice_is_done_once(self, store: RunStore) -> None:
        store.commit(started(ready("a")))
        again = store.commit(started(ready("a")))
        assert (again.code, again.version, [item.version for item in again.events]) == (
            Code.DUPLICATE,
            2,
            [1, 2],
        )
        assert store.commit(started(ready("a"), commit="c2")).code is Code.EXISTS
        assert len(types(store)) == 2

    def test_a_decision_is_carried_out_where_it_was_made(self, store: RunStore) -> None:
        begun = store.commit(started(ready("a")))
        done = store.commit(decided(begun, "c1", "c2"))
        assert (done.code, done.version) == (Code.DONE, 3)
        behind = store.commit(decided(begun, "c1", "c3"))
        assert (behind.code, [item.commit for item in behind.events]) == (
            Code.CONFLICT,
            ["c2"],
        )
        again = store.commit(decided(begun, "c1", "c2"))
        assert (again.code, [item.commit for item in again.events]) == (
            Code.DUPLICATE,
            ["c2"],
        )
        assert store.commit(decided(done, "other", "c4")).code is Code.DIVERGED
        assert (
            store.commit(Commit(RUN, "cas", "c5", (event("Noted"),), 9, "c9")).code
            is Code.AHEAD
        )
        assert types(store)[2:] == ["Noted"]

    def test_nothing_is_missed_by_who_has_folded_another_history(
        self, store: RunStore
    ) -> None:
        begun = store.commit(started(ready("a")))
        store.commit(decided(begun, "c1", "c2"))
        reply = store.commit(decided(begun, "other", "c3"))
        assert (reply.code, reply.events) == (Code.CONFLICT, ())

    def test_a_payload_comes_with_its_commit(self, store: RunStore) -> None:
        sha = hashlib.sha256(b"big").hexdigest()
        assert store.commit(started(refers=(sha,))).code is Code.PAYLOAD_GONE
        store.commit(started(blobs=(Blob(sha, b"big"),)))
        assert store.blobs([(0, sha)]) == [b"big"]
        with pytest.raises(BlobMissing):
            store.blobs([(0, "no")])

    def test_commits_are_carried_out_together_each_with_its_answer(
        self, store: RunStore
    ) -> None:
        digest = hashlib.sha256(b"{}").hexdigest()
        commits = [
            started(run="0-1"),
            started(run="0-2"),
            decided(Committed(Code.DONE, 9, 9, 0), "c9", "c1"),
        ]
        offered = store.offer(
            commits, definitions={digest: b"{}"}, wakeups=[WakeUp("q", [0])]
        )
        codes = [
            answer.code for answer in offered.commits if isinstance(answer, Committed)
        ]
        assert codes == [Code.DONE, Code.DONE, Code.UNKNOWN]
        assert len(offered.unheard) == 1
        assert store.definitions([digest, "no"]) == [b"{}", None]
        done = store.exchange([started(run="0-3")])
        assert [answer.code for answer in done.commits] == [Code.DONE]
        assert store.statuses(["0-1", "0-2", "0-3"]) == ["running"] * 3

    def test_what_comes_with_a_run_is_read_together(self, store: RunStore) -> None:
        store.commit(started(ready("a"), ready("b"), wrapped_key="1.ab.key"))
        store.put_snapshot(RUN, "c1", b"folded", 60)
        [(key, snapshot, first)] = store.begin_reading([RUN], 2, keys=True)
        assert (key, snapshot, [item.version for item in first]) == (
            b"1.ab.key",
            b"folded",
            [1, 2],
        )
        [(key, snapshot, first)] = store.begin_reading(["0-no"], 2)
        assert (key, snapshot, first) == (None, None, ())
        assert [[item.version for item in page] for page in store.backwards(RUN)] == [
            [3, 2, 1]
        ]
        assert not store.is_gone(RUN)

    def test_a_snapshot_of_a_closed_run_is_that_of_its_end(
        self, store: RunStore
    ) -> None:
        begun = store.commit(started())
        store.commit(
            decided(begun, "c1", "c2", changes=IndexChanges(status="completed"))
        )
        store.put_snapshot(RUN, "c1", b"before", 60)
        assert store.begin_reading([RUN], 1)[0][1] is None
        store.put_snapshot(RUN, "c2", b"after", 60)
        assert store.begin_reading([RUN], 1)[0][1] == b"after"

    # -- claims ------------------------------------------------------------------------------------------

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
        wish = ClaimWish("w", LEASE, 1, "q", lambda component: component != "other")
        commit = started(
            ready("o", component="other"), ready("a"), ready("b"), claim=wish
        )
        reply = store.commit(commit)
        assert [(x.step, x.attempt) for x in reply.leases] == [("a", 1)]
        assert types(store)[-1] == "StepStarted"
        assert reply.version == len(types(store))
        store.tell(0, "h", {"other": True})
        assert sorted(steps(claim(store))) == ["b", "o"]

    # -- leases ------------------------------------------------------------------------------------------

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

    # -- facts -------------------------------------------------------------------------------------------

    def test_an_outcome_ends_the_step_and_its_lease(
        self, store: RunStore, later: Later
    ) -> None:
        store.commit(started(ready("a", total_ms=MINUTE)))
        [taken] = claim(store)
        commit = fact(
            taken.lease, "c2", version=taken.version, last_commit=taken.commit
        )
        done = store.commit(commit)
        assert (done.code, types(store)[-2:]) == (
            Code.DONE,
            ["StepCompleted", "Decided"],
        )
        [head] = store.heads([RUN])
        assert head is not None
        assert dict(head.steps) == {}
        later(2 * LEASE)
        assert due(store) == []
        late = fact(taken.lease, "c3", version=done.version, last_commit="c2")
        assert (store.commit(late).code, store.commit(late).fenced) == (
            Code.FENCED,
            ("a",),
        )
        assert store.commit(commit).code is Code.DUPLICATE

    def test_facts_do_not_race_and_their_decision_is_made_anew(
        self, store: RunStore, later: Later
    ) -> None:
        begun = store.commit(started(ready("a"), ready("b")))
        one, other = claim(store)
        latest = max(one, other, key=lambda item: item.version)
        store.commit(
            fact(one.lease, "c2", version=latest.version, last_commit=latest.commit)
        )
        reply = store.commit(
            fact(other.lease, "c3", version=begun.version, last_commit="c1")
        )
        assert reply.code is Code.FACTS_ONLY
        assert [item.type for item in reply.events][-2:] == ["Decided", "StepCompleted"]
        later(MINUTE)
        assert due(store) == [(DueKind.DECISION, "")]
        settled = IndexChanges(settled=True)
        store.commit(decided(reply, "c3", "c4", changes=settled, events=()))
        later(2 * LEASE)
        assert due(store) == []

    def test_facts_alone_give_back_what_their_step_held_and_change_no_other_index(
        self, store: RunStore
    ) -> None:
        begun = store.commit(started(ready("a"), ready("b")))
        one, other = claim(store)
        latest = max(one, other, key=lambda item: item.version)
        store.commit(
            fact(one.lease, "c2", version=latest.version, last_commit=latest.commit)
        )
        held = Timer(DueKind.GIVE_BACK, other.lease.step, 0)
        others = (
            Timer(DueKind.GIVE_BACK, "", 0),
            Timer(DueKind.PARENT, "", 0),
            Timer(DueKind.GIVE_BACK, "c", 0),
        )
        changes = IndexChanges(timers=(held, *others))
        reply = store.commit(
            fact(
                other.lease,
                "c3",
                version=begun.version,
                last_commit="c1",
                changes=changes,
            )
        )
        assert reply.code is Code.FACTS_ONLY
        assert due(store) == [(DueKind.GIVE_BACK, other.lease.step)]

    def test_what_comes_as_a_whole_is_stored_as_a_whole(self, store: RunStore) -> None:
        begun = store.commit(started(ready("a")))
        [taken] = claim(store)
        stale = fact(
            taken.lease, "c2", version=begun.version, last_commit="c1", whole=True
        )
        assert store.commit(stale).code is Code.CONFLICT
        whole = fact(
            taken.lease,
            "c2",
            version=taken.version,
            last_commit=taken.commit,
            whole=True,
            last_fence=7,
        )
        assert store.commit(whole).code is Code.DONE

    def test_a_step_that_is_given_back_is_claimed_again_under_another_fence(
        self, store: RunStore
    ) -> None:
        store.commit(started(ready("a")))
        [taken] = claim(store)
        changes = IndexChanges(requeued=(RequeuedStep("a", 0, 0, 0),))
        version, last = taken.version, taken.commit
        store.commit(
            fact(
                taken.lease,
                "c2",
                version=version,
                last_commit=last,
                final=False,
                changes=changes,
            )
        )
        [again] = claim(store, name="k2")
        assert (
            again.lease.attempt,
            int(again.lease.fence) > int(taken.lease.fence),
        ) == (2, True)
        assert store.beat([taken.lease, again.lease], LEASE) == [0, 1]
