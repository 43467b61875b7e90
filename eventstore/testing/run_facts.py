"""How outcomes come in under a fence: the part of the contract of RunStore about facts."""

from __future__ import annotations

from eventstore.run_model import (
    Code,
)
from eventstore.runs import RunStore
from eventstore.testing.commits import (
    LEASE,
    MINUTE,
    RUN,
    Later,
    claim,
    decided,
    due,
    fact,
    ready,
    started,
    types,
)
from openagents_json.work_index import (
    DueKind,
    IndexChanges,
    RequeuedStep,
    Timer,
)


class RunFactsContract:
    """The contract; each test gets a fresh store."""

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

    def test_a_decision_that_stands_is_carried_out_behind_claims_of_others(
        self, store: RunStore
    ) -> None:
        store.commit(started(ready("a"), ready("b"), ready("c")))
        [mine] = claim(store, at_most=1)
        [other] = claim(store, at_most=1, name="k2")
        opened = IndexChanges(ready=(ready("d", index=2),))
        commit = fact(
            mine.lease,
            "c2",
            version=mine.version,
            last_commit=mine.commit,
            changes=opened,
            stands=True,
        )
        done = store.commit(commit)
        assert (done.code, done.version) == (Code.DONE, other.version + 2)
        [between] = done.events
        assert (between.type, between.version) == ("StepStarted", other.version)
        [head] = store.heads([RUN])
        assert head is not None
        assert head.steps["d"].scheduled_version == other.version + 2
        assert store.commit(commit).code is Code.DUPLICATE
        [third] = claim(store, at_most=1, name="k3")
        cas = store.commit(decided(done, "c2", "c3", stands=True))
        assert (cas.code, cas.version) == (Code.DONE, third.version + 1)
        assert [item.version for item in cas.events] == [third.version]

    def test_a_decision_that_stands_is_made_anew_behind_all_else(
        self, store: RunStore
    ) -> None:
        begun = store.commit(started(ready("a"), ready("b"), ready("c")))
        one, other = claim(store, at_most=2)
        latest = max(one, other, key=lambda item: item.version)
        noted = store.commit(decided(latest, latest.commit, "c2"))
        [third] = claim(store, name="k2")
        cas = decided(latest, latest.commit, "c3", stands=True)
        assert store.commit(cas).code is Code.CONFLICT
        behind = fact(
            one.lease,
            "c4",
            version=latest.version,
            last_commit=latest.commit,
            stands=True,
        )
        assert store.commit(behind).code is Code.FACTS_ONLY
        elsewhere = fact(
            other.lease, "c5", version=begun.version, last_commit="else", stands=True
        )
        assert store.commit(elsewhere).code is Code.FACTS_ONLY
        assert noted.version < third.version

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
        changes = IndexChanges(
            requeued=(
                RequeuedStep(
                    step="a", delay_ms=0, schedule_to_start_ms=0, start_to_close_ms=0
                ),
            )
        )
        version = taken.version
        last = taken.commit
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
