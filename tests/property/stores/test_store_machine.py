"""The two adapters side by side: whatever is asked of them, in whatever order, they answer the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as s
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from eventstore.errors import EventStoreError
from eventstore.event import Checkpoint, Event, Position, Recorded
from eventstore.keys import Keyspace
from eventstore.memory.streams import MemoryStreamStore
from eventstore.redis.streams import RedisStreamStore
from eventstore.store import StreamStore
from eventstore.version import ANY, NO_STREAM, STREAM_EXISTS
from tests.conftest import Server
from tests.examples import examples

PARTITIONS = 2
NAMES = s.sampled_from(["0-a", "1-b", "plain", "", "ключ|💥", "\ud800"])
EXPECTED = s.sampled_from([ANY, NO_STREAM, STREAM_EXISTS]) | s.integers(0, 12)
DATA = (
    s.none()
    | s.integers()
    | s.text(max_size=5)
    | s.dictionaries(s.text(max_size=3), s.floats(allow_nan=True), max_size=2)
)


def plain(value: Any) -> Any:
    """Leave out the time, which only a server knows."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return replace(value, time_ms=0) if isinstance(value, Recorded) else value


def outcome(call: Callable[[], Any]) -> tuple[str, Any]:
    """Return a call's value, or the kind and the attributes of its error."""
    try:
        return "ok", repr(plain(call()))
    except EventStoreError as error:
        return type(error).__name__, repr(vars(error))


class StoreMachine(RuleBasedStateMachine):
    """Asks both adapters the same and compares."""

    def __init__(self, make: Callable[[], StreamStore]) -> None:
        super().__init__()
        self.real, self.model = make(), MemoryStreamStore(partitions=PARTITIONS)

    def both(self, ask: Callable[[StreamStore], Any]) -> None:
        assert outcome(lambda: ask(self.real)) == outcome(lambda: ask(self.model))

    @rule(
        name=NAMES,
        data=s.lists(DATA, max_size=4),
        expected=EXPECTED,
        commit=s.none() | s.sampled_from(["c1", "c2", "c3"]),
        checkpoint=s.none() | s.tuples(s.sampled_from(["x", "y"]), s.integers(0, 9)),
        wrong=s.booleans(),
    )
    def append(
        self,
        name: str,
        data: list[Any],
        expected: Any,
        commit: str | None,
        checkpoint: Any,
        wrong: bool,
    ) -> None:
        partition = (self.model.partition_of(name) + (wrong and not data)) % PARTITIONS
        mark = (
            Checkpoint(checkpoint[0], Position(partition, checkpoint[1]))
            if checkpoint
            else None
        )
        events = [Event("Happened", item, {"m": 1} if item else {}) for item in data]
        self.both(
            lambda store: store.append(
                name,
                events,
                expected=expected,
                commit_id=commit,
                actor="me",
                cause="why",
                checkpoint=mark,
            )
        )

    @rule(
        consumer=s.sampled_from(["x", "y"]),
        partition=s.integers(0, PARTITIONS - 1),
        n=s.integers(0, 9),
    )
    def save(self, consumer: str, partition: int, n: int) -> None:
        self.both(
            lambda store: store.save_checkpoint(
                Checkpoint(consumer, Position(partition, n))
            )
        )
        self.both(lambda store: store.checkpoint(consumer, partition))

    @rule(
        name=NAMES,
        after=s.integers(0, 8),
        limit=s.none() | s.integers(0, 5),
        backward=s.booleans(),
        before=s.none() | s.integers(0, 8),
    )
    def read(
        self,
        name: str,
        after: int,
        limit: int | None,
        backward: bool,
        before: int | None,
    ) -> None:
        self.both(
            lambda store: store.read(
                name, after=after, limit=limit, backward=backward, before=before
            )
        )

    @rule(
        partition=s.integers(0, PARTITIONS - 1),
        after=s.integers(0, 12),
        limit=s.none() | s.integers(0, 6),
    )
    def read_log(self, partition: int, after: int, limit: int | None) -> None:
        self.both(
            lambda store: store.read_all(
                after={partition: after}, limit=limit, partition=partition
            )
        )

    @invariant()
    def ends_are_equal(self) -> None:
        for partition in range(PARTITIONS):
            assert self.real.head(partition) == self.model.head(partition)


@pytest.mark.parametrize("steps", [30])
def test_both_adapters_answer_the_same(server: Server, steps: int) -> None:
    connection = server.connect()

    def machine() -> StoreMachine:
        return StoreMachine(
            lambda: RedisStreamStore(connection, Keyspace(server.prefix(), PARTITIONS))
        )

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples(30),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
