"""State managers: values, transactions, backups and locks, on a store whose clock the test moves."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

import pytest

from eventstore import MemoryStreamStore
from openagents_json.core.errors import NotOffered
from openagents_json.core.state import (
    DatabaseStateManager,
    JsonSerializer,
    MemoryStateManager,
    RedisStateManager,
    StateDeserializationError,
    StateError,
    StatefulBase,
    StateLockError,
    StateManager,
    StateSerializationError,
    configure_state_manager,
    get_serializer,
    stateful,
)
from openagents_json.core.state.agent_log import WHOLE, WHOLE_EVERY
from openagents_json.core.state.stream_manager import StreamStateManager
from tests.conftest import Server, wait_for


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.ms = 1_000

    def now_ms(self) -> int:
        return self.ms


def manager_of(store: Any, owner: str) -> StreamStateManager:
    numbers = itertools.count()
    return StreamStateManager(
        store, owner=owner, commit_id=lambda: f"{owner}-{next(numbers)}"
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStreamStore:
    return MemoryStreamStore(now_ms=clock.now_ms)


def test_values_are_kept_by_agent_and_key() -> None:
    manager = MemoryStateManager()
    manager.set_bulk_state("a", {"n": 1, "text": "x"})
    manager.set_state("b", "n", 2)
    manager.delete_state("a", "text")
    manager.delete_state("a", "nothing")
    assert (manager.get_state("a", "n"), manager.get_state("b", "n")) == (1, 2)
    assert (manager.exists("a", "text"), manager.keys("a")) == (False, ["n"])
    assert manager.get_state("a", "text", "none") == "none"
    assert manager.get_bulk_state("a", ["n", "text"]) == {"n": 1}
    manager.clear_state("a")
    assert (manager.keys("a"), manager.keys("b")) == ([], ["n"])


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 1, 2, 3, 4, tzinfo=UTC),
        date(2024, 1, 2),
        uuid.UUID(int=7),
        {1, 2},
        b"\x00\xff",
        {"deep": [{"set": {"x"}}]},
        None,
    ],
)
def test_what_json_has_no_form_for_comes_back_as_it_was(value: Any) -> None:
    manager = MemoryStateManager()
    manager.set_state("a", "v", value)
    assert manager.get_state("a", "v", "none") == value


def test_tags_of_0_1_4_are_read_and_written() -> None:
    json = JsonSerializer()
    written = '{"__type__": "datetime", "value": "2024-01-02T03:04:05"}'
    assert json.deserialize(written) == datetime(2024, 1, 2, 3, 4, 5)
    assert json.serialize(json.deserialize(written)) == written
    assert json.deserialize(json.serialize(Colour.RED))["value"] == "red"


def test_what_cannot_be_written_or_read_is_refused() -> None:
    manager = MemoryStateManager()
    for value in (object(), float("nan")):
        with pytest.raises(StateSerializationError):
            manager.set_state("a", "v", value)
    assert not manager.exists("a", "v")
    with pytest.raises(StateDeserializationError):
        JsonSerializer().deserialize("{")
    with pytest.raises(StateError, match="no serializer 'pickle'"):
        get_serializer("pickle")


def test_a_transaction_sees_itself_and_keeps_all_or_nothing(
    store: MemoryStreamStore,
) -> None:
    manager, other = manager_of(store, "one"), manager_of(store, "two")
    with manager.transaction():
        manager.set_state("a", "x", 1)
        manager.set_state("a", "y", 2)
        assert (manager.get_state("a", "y"), other.keys("a")) == (2, [])
    assert other.get_bulk_state("a", ["x", "y"]) == {"x": 1, "y": 2}

    def clear_and_fail() -> None:
        with manager.transaction():
            manager.clear_state("a")
            assert manager.keys("a") == []
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        clear_and_fail()
    assert manager.keys("a") == ["x", "y"]


def test_a_transaction_on_what_another_changed_meanwhile_changes_nothing(
    store: MemoryStreamStore,
) -> None:
    manager, other = manager_of(store, "one"), manager_of(store, "two")
    manager.set_state("a", "n", 1)
    manager.begin_transaction()
    manager.set_state("a", "n", manager.get_state("a", "n") + 1)
    other.set_state("a", "n", 10)
    with pytest.raises(StateError, match="changed by another"):
        manager.commit_transaction()
    assert manager.get_state("a", "n") == 10


def test_a_transaction_is_of_one_agent_and_of_one_thread() -> None:
    manager = MemoryStateManager()
    with pytest.raises(StateError, match="no transaction"):
        manager.commit_transaction()
    manager.begin_transaction()
    manager.set_state("a", "n", 1)
    with pytest.raises(StateError, match="cannot take in that of 'b'"):
        manager.set_state("b", "n", 1)
    manager.rollback_transaction()
    assert (manager.keys("a"), manager.keys("b")) == ([], [])
    manager.begin_transaction()
    with pytest.raises(StateError, match="already"):
        manager.begin_transaction()


def test_a_backup_is_a_version_that_can_be_brought_back(
    store: MemoryStreamStore,
) -> None:
    manager = manager_of(store, "one")
    manager.set_bulk_state("a", {"n": 1, "m": 2})
    backup = manager.create_backup("a")
    manager.delete_state("a", "m")
    manager.set_state("a", "k", 3)
    assert manager.restore_backup("a", backup)
    assert manager.get_bulk_state("a", manager.keys("a")) == {"n": 1, "m": 2}
    for unknown in ("b@1", "a@999", "a@x", "a"):
        assert not manager.restore_backup("a", unknown)
    manager.backup_policy("on_error")
    assert manager.maybe_create_backup("a", "before_execution") is None
    assert manager.maybe_create_backup("a", "on_error") == "a@4"


def test_a_lock_is_held_by_one_and_runs_out(
    store: MemoryStreamStore, clock: Clock
) -> None:
    one, two = manager_of(store, "one"), manager_of(store, "two")
    assert one.acquire_lock("a", timeout=1)
    assert not one.acquire_lock("a", timeout=1)
    assert not two.acquire_lock("a", timeout=1)
    clock.ms += 1_000
    assert two.acquire_lock("a", timeout=1)
    assert (two.fence_of("a") or 0) > (one.fence_of("a") or 0)
    assert (one.release_lock("a"), two.release_lock("a")) == (False, True)
    assert one.acquire_lock("a")


def test_a_holder_that_slept_beyond_its_lease_cannot_write(
    store: MemoryStreamStore, clock: Clock
) -> None:
    one, two = manager_of(store, "one"), manager_of(store, "two")
    one.acquire_lock("a", timeout=1)
    one.set_state("a", "n", 1)
    clock.ms += 1_000
    with pytest.raises(StateLockError, match="has run out"):
        one.set_state("a", "n", 2)
    two.acquire_lock("a", timeout=1)
    two.set_state("a", "n", 3)
    with pytest.raises(StateLockError, match="two holds it"):
        one.set_state("a", "n", 4)
    with pytest.raises(StateLockError), one.transaction():
        one.set_state("a", "n", 5)
    assert one.get_state("a", "n") == 3
    # Once it knows that it lost the lock, it writes as anybody does.
    one.release_lock("a")
    one.set_state("a", "n", 6)
    assert two.get_state("a", "n") == 6


class Overtaken:
    """A store in which somebody does something before an append comes."""

    def __init__(self, store: MemoryStreamStore, before: Callable[[], object]) -> None:
        self._store = store
        self._before = [before]

    def append(self, *args: Any, **options: Any) -> Any:
        if self._before:
            self._before.pop()()
        return self._store.append(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def test_a_lock_that_is_lost_between_the_look_and_the_write_is_lost(
    store: MemoryStreamStore, clock: Clock
) -> None:
    two = manager_of(store, "two")

    def take_over() -> None:
        clock.ms += 1_000
        assert two.acquire_lock("a")

    slow = Overtaken(store, take_over)
    one = manager_of(slow, "one")
    slow._before.clear()
    one.acquire_lock("a", timeout=1)
    slow._before.append(take_over)
    with pytest.raises(StateLockError, match="two holds it"):
        one.set_state("a", "n", 1)
    assert two.keys("a") == []


def test_a_long_history_is_read_from_its_latest_whole(
    store: MemoryStreamStore,
) -> None:
    manager = manager_of(store, "one")
    assert manager.acquire_lock("a")
    for number in range(2 * WHOLE_EVERY + 5):
        manager.set_state("a", f"k{number % 7}", number)
    events = store.read("agent:a")
    assert sum(event.type == WHOLE for event in events) == 2
    fresh = manager_of(store, "two")
    assert fresh.get_bulk_state("a", fresh.keys("a")) == manager.get_bulk_state(
        "a", manager.keys("a")
    )
    assert len(fresh.keys("a")) == 7
    assert not fresh.acquire_lock("a")  # who holds it stands in the whole too


class Counter(StatefulBase):
    """An object whose attributes are kept."""

    def __init__(self, manager: StateManager) -> None:
        super().__init__(manager)
        self.agent_id = "counter"

    @stateful
    def count(self) -> int:
        """Say how often."""
        return 0

    @stateful(key="tags", cached=False)
    def marks(self) -> list[str]:
        return []

    @stateful(persistent=False)
    def local(self) -> int:
        return 1


def test_stateful_attributes_are_kept() -> None:
    manager = MemoryStateManager()
    first = Counter(manager)
    first.count += 2
    first.marks = ["x"]
    first.local += 1
    again = Counter(manager)
    assert (again.count, again.marks, again.local) == (2, ["x"], 1)
    assert first.get_state_snapshot() == {"count": 2, "tags": ["x"]}
    again.restore_from_snapshot({"count": 7})
    first.load_state()
    assert (first.count, first.local) == (7, 1)
    first.clear_state()
    assert (first.count, Counter(manager).marks) == (0, [])
    first.save_state()
    assert manager.keys("counter") == ["count", "tags"]


def test_managers_are_made_of_mappings() -> None:
    assert isinstance(configure_state_manager({"type": "memory"}), MemoryStateManager)
    with pytest.raises(ValueError, match="no state manager 'floppy'"):
        configure_state_manager({"type": "floppy"})
    with pytest.raises(NotOffered, match="not kept in a database"):
        DatabaseStateManager(database_url="sqlite://")


def test_state_on_a_server_is_shared_and_fenced(server: Server) -> None:
    prefix = f"{server.prefix()}:"
    with (
        RedisStateManager(server.url, key_prefix=prefix) as one,
        RedisStateManager(server.url, key_prefix=prefix) as two,
    ):
        one.set_state("a", "n", {"at": datetime(2024, 1, 2)})
        assert two.get_state("a", "n") == {"at": datetime(2024, 1, 2)}
        assert one.acquire_lock("a", timeout=0.001)
        wait_for(lambda: two.acquire_lock("a"))
        with pytest.raises(StateLockError):
            one.set_state("a", "n", 2)
        two.set_state("a", "n", 3)
        assert one.get_state("a", "n") == 3


def test_a_server_that_is_away_is_a_state_error() -> None:
    with pytest.raises(StateError, match="the store of the state"):
        RedisStateManager("unix:///nowhere/s.sock")
