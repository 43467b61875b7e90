"""What every adapter of StreamStore has to do, as tests that any adapter can run.

Make a class of your tests that inherits `StreamStoreContract` and has a fixture `store`, an empty store with three
partitions, and `single`, an empty one with one partition.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from eventstore.errors import (
    CheckpointNotRising,
    InvalidRequest,
    LogTruncated,
    NotJson,
    PayloadTooLarge,
    WrongExpectedVersion,
)
from eventstore.event import Checkpoint, Event, Position, Recorded
from eventstore.store import StreamStore, next_cursor
from eventstore.version import ANY, NO_STREAM, STREAM_EXISTS

ODD_NAMES = (
    "",
    " ",
    "a b",
    "ключ",
    "💥",
    "{}",
    "a{b}c",
    "|",
    "\x00",
    "\n",
    "1-x",
    "7-x",
    "99-x",
    "\ud800",
    "x" * 2000,
)
ODD_PAYLOADS: tuple[object, ...] = (
    None,
    True,
    0,
    -0.0,
    1.5e300,
    10**30,
    "",
    "\x00\u2028💥",
    "\ud800",
    [],
    {},
    [[[]]],
    {"": {"a": [1, {"b": None}]}, "ß": "ß"},
)


def events(count: int, prefix: str = "Happened") -> list[Event]:
    """Make events that can be told apart."""
    return [Event(f"{prefix}{i}", {"i": i}) for i in range(count)]


def types(recorded: Sequence[Recorded]) -> list[str]:
    """Return the types of events."""
    return [item.type for item in recorded]


class StreamStoreContract:
    """The contract; each test gets fresh stores."""

    def test_an_append_gives_contiguous_versions_and_positions(
        self, single: StreamStore
    ) -> None:
        first = single.append("a", events(2))
        second = single.append("b", events(1))
        third = single.append("a", events(3))
        assert (first.first_version, first.last_version, first.position.n) == (1, 2, 2)
        assert (second.first_version, second.position) == (1, Position(0, 3))
        assert (third.first_version, third.last_version, third.position.n) == (3, 5, 6)
        assert [r.position.n for r in single.read_all()] == [1, 2, 3, 4, 5, 6]
        assert [r.version for r in single.read("a")] == [1, 2, 3, 4, 5]
        assert single.head(0) == 6
        assert single.stream_version("a") == 5

    @pytest.mark.parametrize(
        ("expected", "fits_new", "fits_old"),
        [
            (ANY, True, True),
            (NO_STREAM, True, False),
            (STREAM_EXISTS, False, True),
            (0, True, False),
            (2, False, True),
        ],
    )
    def test_an_append_holds_the_expected_version(
        self, store: StreamStore, expected: object, fits_new: bool, fits_old: bool
    ) -> None:
        store.append("old", events(2))
        for name, fits in (("new", fits_new), ("old", fits_old)):
            before = store.stream_version(name)
            if fits:
                appended = store.append(name, events(1), expected=expected)  # type: ignore[arg-type]
                assert appended.first_version == before + 1
            else:
                with pytest.raises(WrongExpectedVersion) as error:
                    store.append(name, events(1), expected=expected)  # type: ignore[arg-type]
                assert error.value.current == before
                assert store.stream_version(name) == before

    def test_a_refused_append_leaves_no_trace(self, single: StreamStore) -> None:
        single.append("a", events(1), checkpoint=Checkpoint("c", Position(0, 1)))
        with pytest.raises(WrongExpectedVersion):
            single.append(
                "a", events(5), expected=7, checkpoint=Checkpoint("c", Position(0, 9))
            )
        with pytest.raises(CheckpointNotRising):
            single.append("a", events(5), checkpoint=Checkpoint("c", Position(0, 1)))
        with pytest.raises(NotJson):
            single.append("a", [Event("Fine"), Event("Bad", {"x": float("nan")})])
        assert (
            single.head(0),
            single.stream_version("a"),
            single.checkpoint("c", 0),
        ) == (1, 1, 1)

    def test_a_commit_id_is_applied_once(self, store: StreamStore) -> None:
        done = store.append("a", events(3), expected=0, commit_id="one")
        store.append("a", events(2), commit_id="two")
        again = store.append("a", events(3), expected=0, commit_id="one")
        assert again.duplicate
        assert (again.first_version, again.last_version, again.position) == (
            1,
            3,
            done.position,
        )
        assert store.stream_version("a") == 5

    def test_a_resend_with_a_checkpoint_is_a_duplicate_and_not_refused(
        self, single: StreamStore
    ) -> None:
        checkpoint = Checkpoint("consumer", Position(0, 7))
        single.append("a", events(1), commit_id="one", checkpoint=checkpoint)
        assert single.append(
            "a", events(1), commit_id="one", checkpoint=checkpoint
        ).duplicate
        assert single.checkpoint("consumer", 0) == 7

    def test_checkpoints_only_rise(self, single: StreamStore) -> None:
        assert single.checkpoint("c", 0) == 0
        single.save_checkpoint(Checkpoint("c", Position(0, 5)))
        for n in (5, 4):
            with pytest.raises(CheckpointNotRising) as error:
                single.save_checkpoint(Checkpoint("c", Position(0, n)))
            assert error.value.current == 5
        single.save_checkpoint(Checkpoint("c", Position(0, 6)))
        assert (single.checkpoint("c", 0), single.checkpoint("other", 0)) == (6, 0)

    def test_a_checkpoint_of_another_partition_is_refused(
        self, store: StreamStore
    ) -> None:
        elsewhere = Position((store.partition_of("a") + 1) % 3, 1)
        with pytest.raises(InvalidRequest):
            store.append("a", events(1), checkpoint=Checkpoint("c", elsewhere))

    def test_nothing_to_append_is_refused(self, store: StreamStore) -> None:
        with pytest.raises(InvalidRequest):
            store.append("a", [])

    def test_an_event_that_is_too_large_is_refused(self, store: StreamStore) -> None:
        with pytest.raises(PayloadTooLarge) as error:
            store.append("a", [Event("Large", "x" * 2_000_000)])
        assert error.value.size > error.value.limit
        assert store.stream_version("a") == 0

    @pytest.mark.parametrize("count", [1, 1000, 5000])
    def test_an_append_is_all_or_nothing_at_any_size(
        self, single: StreamStore, count: int
    ) -> None:
        done = single.append("a", events(count))
        assert done.last_version == count
        assert [r.version for r in single.read_all()] == list(range(1, count + 1))

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_any_text_names_a_stream(self, store: StreamStore, name: str) -> None:
        store.append(name, events(1))
        store.append(name + "x", events(2))
        assert [(r.stream, r.type) for r in store.read(name)] == [(name, "Happened0")]
        assert name in {r.stream for r in store.read_all()}

    @pytest.mark.parametrize("payload", ODD_PAYLOADS)
    def test_any_json_is_a_payload(self, store: StreamStore, payload: object) -> None:
        store.append(
            "a", [Event("T\ud800", payload, {"m": payload})], actor="ä", cause="c"
        )
        [event] = store.read("a")
        assert repr(event.data) == repr(payload)
        assert repr(event.metadata["m"]) == repr(payload)
        assert (event.type, event.actor, event.cause) == (
            "T\ud800",
            "ä",
            "c",
        )

    def test_reads_have_bounds_in_both_directions(self, store: StreamStore) -> None:
        store.append("a", events(10))
        assert [r.version for r in store.read("a", after=3, limit=4)] == [4, 5, 6, 7]
        assert [r.version for r in store.read("a", backward=True, limit=3)] == [
            10,
            9,
            8,
        ]
        assert [r.version for r in store.read("a", backward=True, before=4)] == [
            3,
            2,
            1,
        ]
        assert [r.version for r in store.read("a", after=3, before=6)] == [4, 5]
        assert [
            r.version for r in store.read("a", after=3, before=6, backward=True)
        ] == [5, 4]
        assert (
            store.read("a", before=0)
            == store.read("a", after=10)
            == store.read("nobody")
            == store.read("a", limit=0)
            == []
        )

    def test_the_log_is_read_from_any_position_also_inside_a_commit(
        self, single: StreamStore
    ) -> None:
        single.append("a", events(5))
        single.append("b", events(5))
        for after in range(11):
            for limit in (1, 3, 100):
                positions = [
                    r.position.n for r in single.read_all(after={0: after}, limit=limit)
                ]
                assert positions == list(range(after + 1, min(10, after + limit) + 1))

    def test_the_log_of_all_partitions_has_no_holes_when_it_is_cut(
        self, store: StreamStore
    ) -> None:
        for i in range(30):
            store.append(f"s{i}", events(i % 4 + 1))
        cursor: dict[int, int] = {}
        seen: list[Recorded] = []
        while page := store.read_all(after=cursor, limit=7):
            assert len(page) <= 7
            cursor = next_cursor(cursor, page)
            seen += page
        for partition in range(3):
            positions = [
                r.position.n for r in seen if r.position.partition == partition
            ]
            assert positions == list(range(1, store.head(partition) + 1))
        assert len(seen) == len(store.read_all())

    def test_a_cursor_behind_the_end_means_that_the_tail_was_lost(
        self, single: StreamStore
    ) -> None:
        single.append("a", events(3))
        assert single.read_all(after={0: 3}) == []
        for read in (single.read_all, single.tail):
            with pytest.raises(LogTruncated) as error:
                read(after={0: 4})
            assert (error.value.partition, error.value.n, error.value.head) == (0, 4, 3)

    def test_a_partition_that_is_not_there_is_refused(self, store: StreamStore) -> None:
        for ask in (
            lambda: store.read_all(partition=3),
            lambda: store.head(-1),
            lambda: store.checkpoint("c", 3),
            lambda: store.save_checkpoint(Checkpoint("c", Position(3, 1))),
        ):
            with pytest.raises(InvalidRequest):
                ask()

    def test_a_tail_waits_for_what_comes(self, store: StreamStore) -> None:
        store.append("a", events(1))
        cursor = next_cursor({}, store.read_all())
        assert store.tail(after=cursor, block_ms=10) == []
        writer = threading.Timer(0.05, lambda: store.append("b", events(2)))
        writer.start()
        events_read: list[Recorded] = []
        for _ in range(50):
            events_read += store.tail(
                after=next_cursor(cursor, events_read), block_ms=500
            )
            if len(events_read) == 2:
                break
        writer.join()
        assert types(events_read) == ["Happened0", "Happened1"]

    def test_writers_that_race_are_put_in_one_order(self, store: StreamStore) -> None:
        won: list[tuple[int, str]] = []

        def compete(name: str) -> None:
            for _ in range(20):
                version = store.stream_version("a")
                try:
                    store.append("a", [Event("Won", name)], expected=version)
                except WrongExpectedVersion:
                    continue
                won.append((version + 1, name))

        threads = [threading.Thread(target=compete, args=(f"t{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(r.version, r.data) for r in store.read("a")] == sorted(won)
