"""Who gets the next claim where steps have fairness keys: the part of the contract of RunStore about shares."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from eventstore.run_model import ClaimRequest, CommitClaim
from eventstore.runs import RunStore
from eventstore.testing.commits import (
    LEASE,
    MINUTE,
    RUN,
    Later,
    claim,
    decided,
    ready,
    started,
    steps,
)
from openagents_json.work_index import IndexChanges, RequeuedStep, Share


def waiting(store: RunStore, key: str, count: int, *, weight: int = 1) -> None:
    """Let steps of a key wait, named after it, in a run of their own."""
    names = [f"{key}{number}" for number in range(count)]
    shares = tuple(Share(name, key, weight) for name in names)
    changes = IndexChanges(shares=shares)
    store.commit(started(*map(ready, names), run=f"0-{key}", changes=changes))


def taken(store: RunStore, times: int, *, at_most: int = 1) -> list[str]:
    """Claim one time after the other, and return the steps."""
    return [
        step
        for number in range(times)
        for step in steps(claim(store, at_most=at_most, name=f"n{number}-{at_most}"))
    ]


def keys(names: Sequence[str]) -> str:
    """Return the keys of steps, as one text."""
    return "".join(name[0] for name in names)


class RunFairnessContract:
    """The contract; each test gets a fresh store."""

    def test_one_step_of_a_key_does_not_wait_behind_many_of_another(
        self, store: RunStore
    ) -> None:
        waiting(store, "a", 50)
        assert taken(store, 2) == ["a0", "a1"]
        waiting(store, "b", 1)
        assert "b0" in taken(store, 2, at_most=2)[:2]

    @pytest.mark.parametrize("at_most", [1, 3])
    def test_keys_get_steps_by_their_weights(
        self, store: RunStore, at_most: int
    ) -> None:
        waiting(store, "a", 20, weight=3)
        waiting(store, "b", 20)
        names = taken(store, 12 // at_most, at_most=at_most)
        assert keys(names) == "aaabaaabaaab"

    def test_a_weight_that_is_said_counts_for_what_waits_already(
        self, store: RunStore
    ) -> None:
        waiting(store, "a", 30)
        waiting(store, "b", 30)
        store.commit(started(*(ready(f"p{i}") for i in range(9)), run="0-p"))
        assert keys(taken(store, 3)) == "abp"
        store.weigh({"a": 3, "b": 2, "": 2, "c": None})
        assert keys(taken(store, 1, at_most=7)) == "aaabbpp"
        store.weigh({"a": None, "": None})
        assert keys(taken(store, 1, at_most=8)) == "abbpabbp"

    def test_steps_without_a_key_are_one_more_key(self, store: RunStore) -> None:
        store.commit(started(*(ready(f"p{i}") for i in range(5)), run="0-p"))
        waiting(store, "a", 5)
        waiting(store, "b", 5)
        assert sorted(keys(taken(store, 3))) == ["a", "b", "p"]
        assert sorted(keys(taken(store, 1, at_most=12))) == sorted("aaaabbbbpppp")
        assert taken(store, 1, at_most=9) == []

    def test_of_one_key_the_highest_priority_comes_first_and_then_the_oldest(
        self, store: RunStore, later: Later
    ) -> None:
        changes = IndexChanges(shares=(Share("s", "a", 1),))
        for number, priority in enumerate((0, 0, 9)):
            step = ready("s", priority=priority)
            store.commit(started(step, run=f"0-{number}", changes=changes))
            later(1000)
        order = [claim(store, at_most=1, name=f"k{i}")[0].lease.run for i in range(3)]
        assert order == ["0-2", "0-0", "0-1"]

    def test_a_claim_sent_again_is_no_second_turn(self, store: RunStore) -> None:
        waiting(store, "a", 3)
        waiting(store, "b", 3)
        [first] = claim(store, at_most=1)
        [again] = claim(store, at_most=1)
        assert again.lease == first.lease
        assert keys(taken(store, 2)) == "ba"

    def test_what_is_suspended_ended_or_given_back_keeps_its_key(
        self, store: RunStore, later: Later
    ) -> None:
        begun = store.commit(
            started(
                ready("a0"),
                ready("a1"),
                changes=IndexChanges(shares=(Share("a0", "a", 1), Share("a1", "a", 1))),
            )
        )
        paused = store.commit(
            decided(begun, "c1", "c2", changes=IndexChanges(suspended=("a0", "a1")))
        )
        assert claim(store) == ()
        changes = IndexChanges(resumed=("a0",), closed=("a1",))
        resumed = store.commit(decided(paused, "c2", "c3", changes=changes))
        [held] = claim(store, name="k2")
        assert held.lease.step == "a0"
        changes = IndexChanges(requeued=(RequeuedStep("a0", 5 * MINUTE, 0, 0),))
        store.commit(decided(held, held.commit, "c4", changes=changes))
        assert resumed.version < held.version
        later(6 * MINUTE)
        [reply] = store.due([0], ["q"])
        assert reply.refilled == frozenset({"q"})
        waiting(store, "b", 9)
        assert sorted(taken(store, 2)) == ["a0", "b0"]

    def test_what_waits_is_counted_with_its_age(
        self, store: RunStore, later: Later
    ) -> None:
        waiting(store, "a", 2)
        later(MINUTE)
        store.commit(started(ready("p"), run="0-p"))
        [reply] = store.due([0], ["q"])
        [queue] = reply.ready
        assert queue.count == 3
        assert queue.age_ms >= MINUTE
        [taken_] = store.claim(
            [ClaimRequest(0, "q", 1, "k", "h")], worker="w", lease_ms=LEASE
        )
        assert taken_.left == 2

    def test_who_commits_takes_a_step_along_only_while_no_other_key_waits(
        self, store: RunStore
    ) -> None:
        asked = CommitClaim("w", LEASE, 1, "q", lambda _: True)
        changes = IndexChanges(shares=(Share("a0", "a", 1),))
        alone = store.commit(started(ready("a0"), claim=asked, changes=changes))
        assert [lease.step for lease in alone.leases] == ["a0"]
        waiting(store, "b", 1)
        changes = IndexChanges(
            ready=(ready("a1", index=1),), shares=(Share("a1", "a", 1),)
        )
        behind = store.commit(decided(alone, "c1", "c2", claim=asked, changes=changes))
        assert behind.leases == ()
        assert taken(store, 2) == ["b0", "a1"]

    def test_a_step_that_is_set_aside_is_taken_by_who_can_run_it(
        self, store: RunStore
    ) -> None:
        store.tell(0, "h", {"other": False})
        store.tell(0, "able", {"other": True})
        changes = IndexChanges(shares=(Share("a0", "a", 1),))
        store.commit(started(ready("a0", component="other"), run=RUN, changes=changes))
        waiting(store, "b", 1)
        assert steps(claim(store)) == ["b0"]
        assert steps(claim(store, name="k2", having="able")) == ["a0"]
        assert claim(store, name="k3", having="able") == ()
