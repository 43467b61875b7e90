"""What commits write and what they answer: the part of the contract of RunStore about events and heads."""

from __future__ import annotations

import hashlib

import pytest

from eventstore.errors import BlobMissing
from eventstore.run_model import (
    Blob,
    Code,
    Commit,
    Committed,
    RunPosition,
)
from eventstore.runs import RunStore, WakeUp
from eventstore.testing.commits import (
    RUN,
    decided,
    event,
    ready,
    started,
    types,
)
from openagents_json.work_index import (
    IndexChanges,
)


class RunCommitsContract:
    """The contract; each test gets a fresh store."""

    def test_a_name_is_taken_from_the_run_that_has_it_or_not_at_all(
        self, store: RunStore
    ) -> None:
        def begin(run: str, commit: str, instead_of: str = "") -> Committed:
            begun = started(run=run, commit=commit, name=("7", instead_of))
            return store.commit(begun)

        def end(run: str, begun: Committed, commit: str) -> Committed:
            over = IndexChanges(status="completed")
            return store.commit(
                decided(begun, commit, f"end {run}", run=run, changes=over)
            )

        first = begin("0-a", "c1")
        refused = begin("0-b", "c2")
        assert (refused.code, refused.holder) == (Code.NAMED, "0-a")
        assert store.positions(["0-b"]) == [None]
        assert begin("0-a", "c1").code is Code.DUPLICATE
        still_open = begin("0-b", "c2", "0-a")
        assert (still_open.code, still_open.holder) == (Code.NAMED, "0-a")
        ended = end("0-a", first, "c1")
        second = begin("0-b", "c2", "0-a")
        assert (ended.code, second.code) == (Code.DONE, Code.DONE)
        late = begin("0-c", "c3", "0-a")
        assert (late.code, late.holder) == (Code.NAMED, "0-b")

        def open_again(commit: str, instead_of: str) -> Committed:
            name, running = ("7", instead_of), IndexChanges(status="running")
            return store.commit(
                decided(ended, "end 0-a", commit, run="0-a", name=name, changes=running)
            )

        for instead_of in ("0-a", "0-b"):
            taken = open_again("again", instead_of)
            assert (taken.code, taken.holder) == (Code.NAMED, "0-b")
        end("0-b", second, "c2")
        assert open_again("again", "0-b").code is Code.DONE
        assert begin("0-b", "c4", "0-a").code is Code.EXISTS
        assert begin("0-c", "c4", "0-a").holder == "0-a"
        end("0-a", open_again("again", "0-b"), "again")
        assert begin("0-c", "c4", "0-a").code is Code.DONE
        assert store.holder_of("8", 0) == ""

    def test_a_start_that_needs_room_is_refused_while_too_many_steps_are_ready(
        self, store: RunStore
    ) -> None:
        def begin(run: str, commit: str, at_most: int, *queues: str) -> Committed:
            return store.commit(
                started(ready("a"), run=run, commit=commit, room=(at_most, queues))
            )

        assert begin("0-a", "c1", 2, "q").code is Code.DONE
        assert begin("0-b", "c2", 2, "q").code is Code.DONE
        refused = begin("0-c", "c3", 2, "other", "q")
        assert (refused.code, refused.full) == (Code.FULL, "q")
        assert store.positions(["0-c"]) == [None]
        assert begin("0-b", "c2", 2, "q").code is Code.DUPLICATE
        assert begin("0-c", "c3", 2, "other").code is Code.DONE
        assert begin("0-d", "c4", 2, "q").code is Code.FULL
        assert begin("0-d", "c4", 4, "q").code is Code.DONE

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
        assert store.positions([RUN]) == [RunPosition("running", 2)]
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
        one = store.read_one(RUN, 3)
        none = store.read_one(RUN, 4)
        assert (one is not None and one.data, none) == ({"step": "b"}, None)
        assert store.wait(RUN, 2, 1)[0].version == 3
        assert store.wait(RUN, 3, 1) == ()

    def test_a_run_that_is_not_there_has_nothing(self, store: RunStore) -> None:
        assert store.heads(["0-no"]) == [None]
        assert store.positions(["0-no"]) == [None]
        assert store.statuses(["0-no"]) == [""]
        assert store.read([("0-no", 0)]) == [()]
        assert (
            store.commit(
                Commit(
                    run="0-no",
                    mode="cas",
                    commit_id="c",
                    events=(event("Noted"),),
                    version=1,
                    last_commit="b",
                )
            ).code
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
            store.commit(
                Commit(
                    run=RUN,
                    mode="cas",
                    commit_id="c5",
                    events=(event("Noted"),),
                    version=9,
                    last_commit="c9",
                )
            ).code
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
            decided(
                Committed(code=Code.DONE, version=9, position=9, time_ms=0), "c9", "c1"
            ),
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

    def test_commits_of_one_run_that_are_sent_together_follow_on_each_other(
        self, store: RunStore
    ) -> None:
        begun = Committed(code=Code.DONE, version=1, position=1, time_ms=0)
        commits = [
            started(),
            started(run="0-2"),
            decided(begun, "c1", "c2"),
            decided(begun, "c1", "c3"),
            started(run="0-3"),
        ]
        answers = store.exchange(commits).commits
        assert [answer.code for answer in answers] == [
            Code.DONE,
            Code.DONE,
            Code.DONE,
            Code.CONFLICT,
            Code.DONE,
        ]
        assert [item.commit for item in answers[3].events] == ["c2"]
        positions = [
            item.position.n
            for run in (RUN, "0-2", "0-3")
            for item in store.read([(run, 0)])[0]
        ]
        assert sorted(positions) == [1, 2, 3, 4]

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
