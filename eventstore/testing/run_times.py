"""What is due, and when: the part of the contract of RunStore that is about time."""

from __future__ import annotations

import threading

from eventstore.run_model import Commit, Committed, RunEnd
from eventstore.runs import RunStore
from eventstore.testing.commits import (
    LEASE,
    MINUTE,
    RUN,
    Later,
    claim,
    decided,
    due,
    event,
    ready,
    started,
    steps,
)
from openagents_json.work_index import (
    NEVER_MS,
    DueKey,
    DueKind,
    IndexChanges,
    RestoredStep,
    Timer,
)


class RunTimesContract:
    """The contract; each test gets a fresh store."""

    def test_a_step_waits_for_its_delay(self, store: RunStore, later: Later) -> None:
        store.commit(started(ready("a", delay_ms=5 * MINUTE)))
        assert (due(store), claim(store)) == ([], ())
        later(6 * MINUTE)
        [reply] = store.due([0], ["q"])
        assert (reply.members, list(reply.refilled)) == ((), ["q"])
        [queue] = reply.ready
        assert (queue.queue, queue.count) == ("q", 1)
        assert steps(claim(store, name="k2")) == ["a"]

    def test_a_retry_of_a_suspended_step_waits_until_it_is_resumed(
        self, store: RunStore, later: Later
    ) -> None:
        begun = store.commit(
            started(ready("a", delay_ms=5 * MINUTE), ready("b", delay_ms=30 * MINUTE))
        )
        paused = IndexChanges(status="paused", suspended=("a", "b"))
        done = store.commit(decided(begun, "c1", "c2", changes=paused))
        later(6 * MINUTE)
        assert (due(store), claim(store)) == ([], ())
        store.commit(
            decided(
                done,
                "c2",
                "c3",
                changes=IndexChanges(status="running", resumed=("a", "b")),
            )
        )
        assert steps(claim(store, name="k2")) == ["a"]

    def test_a_step_has_to_begin_in_time(self, store: RunStore, later: Later) -> None:
        begins = ready("b", schedule_to_start_ms=MINUTE, queue="b")
        store.commit(started(ready("a", schedule_to_start_ms=MINUTE), begins))
        claim(store, queue="b")
        later(2 * MINUTE)
        assert due(store) == [(DueKind.SCHEDULE_TO_START, "a")]

    def test_a_step_has_to_end_in_time(self, store: RunStore, later: Later) -> None:
        store.commit(started(ready("a", total_ms=MINUTE)))
        claim(store)
        later(2 * MINUTE)
        assert due(store) == [(DueKind.TOTAL, "a")]

    def test_timers_are_due_in_time_and_stay_until_a_commit_removes_them(
        self, store: RunStore, later: Later
    ) -> None:
        timers = (
            Timer(DueKind.RUN_LIMIT, "", 5 * MINUTE),
            Timer(kind=DueKind.TIMER, subject="a|1", delay_ms=0, at_ms=1),
            Timer(kind=DueKind.SIGNAL, subject="b", delay_ms=0, at_ms=NEVER_MS),
        )
        begun = store.commit(started(changes=IndexChanges(timers=timers)))
        assert due(store) == [(DueKind.TIMER, "a|1")]
        later(6 * MINUTE)
        assert due(store) == [(DueKind.RUN_LIMIT, "")]
        later(LEASE)
        [reply] = store.due([0], ["q"], push_ms=LEASE)
        assert {member.key for member in reply.members} == {
            DueKey(DueKind.RUN_LIMIT, RUN),
            DueKey(DueKind.TIMER, RUN, "a|1"),
        }
        assert 0 < reply.next_ms <= LEASE
        removed = ((DueKind.RUN_LIMIT, ""), (DueKind.TIMER, "a|1"))
        store.commit(decided(begun, "c1", "c2", changes=IndexChanges(removed=removed)))
        later(2 * LEASE)
        assert due(store) == []

    def test_a_timer_that_is_removed_and_set_in_one_commit_is_set(
        self, store: RunStore
    ) -> None:
        begun = store.commit(
            started(changes=IndexChanges(timers=(Timer(DueKind.GATES, "a", LEASE),)))
        )
        anew = IndexChanges(
            removed=((DueKind.GATES, "a"),), timers=(Timer(DueKind.GATES, "a", 0),)
        )
        store.commit(decided(begun, "c1", "c2", changes=anew))
        assert due(store) == [(DueKind.GATES, "a")]

    def test_a_member_is_postponed_only_while_it_is_there(
        self, store: RunStore, later: Later
    ) -> None:
        asks = DueKey(DueKind.GATES, RUN, "a")
        begun = store.commit(
            started(changes=IndexChanges(timers=(Timer(DueKind.GATES, "a", 0),)))
        )
        assert store.postpone(asks, store.now_ms() + MINUTE)
        assert due(store) == []
        later(2 * MINUTE)
        assert due(store) == [(DueKind.GATES, "a")]
        store.commit(
            decided(
                begun, "c1", "c2", changes=IndexChanges(removed=((DueKind.GATES, "a"),))
            )
        )
        assert not store.postpone(asks, 1)
        assert due(store) == []

    def test_what_is_closed_leaves_all_indexes(
        self, store: RunStore, later: Later
    ) -> None:
        limited = ready("a", schedule_to_start_ms=MINUTE, total_ms=MINUTE)
        waits = ready("c", delay_ms=MINUTE)
        store.commit(
            started(limited, ready("b", start_to_close_ms=MINUTE, queue="b"), waits)
        )
        [held] = claim(store, queue="b")
        closed = IndexChanges(status="completed", closed=("a", "b", "c"))
        store.commit(decided(held, held.commit, "c2", changes=closed))
        later(2 * LEASE)
        assert (due(store), claim(store, name="k2")) == ([], ())
        [head] = store.heads([RUN])
        assert head is not None
        assert (dict(head.steps), store.statuses([RUN])) == ({}, ["completed"])

    def test_a_store_tells_when_something_is_due_next(self, store: RunStore) -> None:
        assert store.due([0], ["q"])[0].next_ms == -1
        store.commit(started(ready("a", delay_ms=MINUTE)))
        assert 0 < store.due([0], ["q"])[0].next_ms <= MINUTE

    def test_steps_come_back_as_they_were(self, store: RunStore) -> None:
        restored = RestoredStep(
            step="a",
            queue="q",
            priority=0,
            start_to_close_ms=0,
            attempt=3,
            scheduled_version=1,
            flags="",
            ready=True,
        )
        waits = RestoredStep(
            step="b",
            queue="q",
            priority=0,
            start_to_close_ms=0,
            attempt=0,
            scheduled_version=1,
            flags="",
            ready=False,
        )
        store.commit(started(changes=IndexChanges(restored=(restored, waits))))
        [taken] = claim(store)
        assert (taken.lease.step, taken.lease.attempt, taken.scheduled_version) == (
            "a",
            4,
            1,
        )

    # -- ends --------------------------------------------------------------------------------------------

    def test_who_waits_for_the_end_of_a_run_is_told_of_that_alone(
        self, store: RunStore
    ) -> None:
        first = store.commit(started(ready("a")))
        told: list[RunEnd | None] = []
        waiting = threading.Thread(
            target=lambda: told.append(store.wait_for_end(RUN, 20_000))
        )
        waiting.start()
        assert not store.wait_for_end(RUN, 1)
        noted = store.commit(decided(first, "c1", "c2", events=(event("Noted"),)))
        assert not store.wait_for_end(RUN, 1)
        assert not told
        store.commit(_end(noted, "c2", "c3"))
        waiting.join(20)
        [end] = told
        assert end is not None
        assert end.last is not None
        assert (end.last.type, end.last.version) == ("End", 4)
        assert store.wait_for_end(RUN, 1) == end
        assert store.wait_for_end("0-no", 1) == RunEnd(None)

    def test_a_start_notes_that_somebody_waits_for_the_end(
        self, store: RunStore
    ) -> None:
        first = store.commit(started(ready("a"), awaited=True))
        assert not store.wait_for_end(RUN, 1, noted=True)
        store.commit(_end(first, "c1", "c2"))
        end = store.wait_for_end(RUN, 20_000, noted=True)
        assert end is not None
        assert end.last is not None
        assert end.last.type == "End"

    def test_a_run_that_was_opened_again_has_not_ended(self, store: RunStore) -> None:
        first = store.commit(started(ready("a")))
        assert not store.wait_for_end(RUN, 1)
        ended = store.commit(_end(first, "c1", "c2"))
        again = IndexChanges(status="running")
        opened = decided(ended, "c2", "c3", events=(event("Again"),), changes=again)
        reopened = store.commit(opened)
        assert not store.wait_for_end(RUN, 1)
        store.commit(_end(reopened, "c3", "c4"))
        assert store.wait_for_end(RUN, 1)


def _end(after: Committed, last_commit: str, commit: str) -> Commit:
    over = IndexChanges(status="completed", closed=("a",))
    return decided(after, last_commit, commit, events=(event("End"),), changes=over)
