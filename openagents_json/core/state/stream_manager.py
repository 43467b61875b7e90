"""A state manager on a store of streams: values as text, transactions of one agent, locks with fences."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore import EventStoreError, WrongExpectedVersion
from openagents_json.core.errors import (
    StateDeserializationError,
    StateError,
    StateSerializationError,
)
from openagents_json.core.state.agent_log import (
    AgentLog,
    AgentState,
    Change,
    TimedStore,
    changed,
)
from openagents_json.core.state.base import StateManager
from openagents_json.core.state.serialization import get_serializer

LOCK_SECONDS: Final = 30


@dataclass(slots=True)
class Transaction:
    """What a thread has changed and not kept yet, of one agent, from the state that it saw first."""

    agent: str = ""
    seen: AgentState = field(default_factory=AgentState)
    change: Change = field(default_factory=lambda: Change({}))


class StreamStateManager(StateManager):
    """Keeps each agent's state as a stream of events; safe for threads, and for any number of processes.

    A backup is a version of that stream: nothing is copied. What this manager writes to the state of an agent whose
    lock it holds (`acquire_lock(agent_id)`) is refused once the lock is lost or has run out.
    """

    def __init__(
        self,
        store: TimedStore,
        *,
        owner: str,
        commit_id: Callable[[], str],
        serializer_name: str = "json",
        lock_timeout: float = LOCK_SECONDS,
    ) -> None:
        self._log = AgentLog(store, commit_id)
        self._owner = owner
        self._serializer = get_serializer(serializer_name)
        self._lock_timeout = lock_timeout
        self._fences: dict[str, int] = {}
        self._local = threading.local()

    # -- values ------------------------------------------------------------------------------------------

    def get_state(self, agent_id: str, key: str, default: Any = None) -> Any:
        """Return a value, the default when there is none.

        Raises StateError.
        """
        text = self._values(agent_id).get(key)
        if text is None:
            return default
        return self._serializer.deserialize(text)

    def set_state(self, agent_id: str, key: str, value: Any) -> None:
        """Keep a value.

        Raises StateError, StateLockError and StateSerializationError.
        """
        self.set_bulk_state(agent_id, {key: value})

    def delete_state(self, agent_id: str, key: str) -> None:
        """Forget a value.

        Raises StateError and StateLockError.
        """
        self._change(agent_id, Change({key: None}))

    def clear_state(self, agent_id: str) -> None:
        """Forget all values of an agent.

        Raises StateError and StateLockError.
        """
        self._change(agent_id, Change({}, clears=True))

    def exists(self, agent_id: str, key: str) -> bool:
        """Tell whether there is a value.

        Raises StateError.
        """
        return key in self._values(agent_id)

    def keys(self, agent_id: str) -> list[str]:
        """Return the keys of an agent, sorted.

        Raises StateError.
        """
        return sorted(self._values(agent_id))

    def get_bulk_state(self, agent_id: str, keys: Sequence[str]) -> dict[str, Any]:
        """Return those of some values that there are, all of one moment.

        Raises StateError.
        """
        values = self._values(agent_id)
        read = self._serializer.deserialize
        return {key: read(values[key]) for key in keys if key in values}

    def set_bulk_state(self, agent_id: str, key_values: Mapping[str, Any]) -> None:
        """Keep several values, all or none.

        Raises as `set_state` does.
        """
        texts = {key: self._text(value) for key, value in key_values.items()}
        if texts:
            self._change(agent_id, Change(texts))

    def validate_state(self, agent_id: str) -> bool:
        """Tell whether all values of an agent can be read."""
        try:
            self.get_bulk_state(agent_id, self.keys(agent_id))
        except StateDeserializationError:
            return False
        return True

    def _text(self, value: Any) -> str:
        text = self._serializer.serialize(value)
        if not isinstance(text, str):
            what = f"a serializer has to give text, not {type(text).__name__}"
            raise StateSerializationError(what)
        return text

    def _values(self, agent_id: str) -> Mapping[str, str]:
        transaction = self._transaction
        if transaction is None:
            with _told(agent_id):
                return self._log.read(agent_id).values
        self._join(transaction, agent_id)
        return changed(transaction.seen.values, transaction.change)

    def _change(self, agent_id: str, change: Change) -> None:
        transaction = self._transaction
        if transaction is None:
            self._write(agent_id, change, None)
            return
        self._join(transaction, agent_id)
        before = {} if change.clears else transaction.change.values
        clears = change.clears or transaction.change.clears
        transaction.change = Change({**before, **change.values}, clears)

    def _write(self, agent_id: str, change: Change, expected: int | None) -> None:
        fence = self._fences.get(agent_id)
        # The fence stays until the lock is released or acquired again: what is written was thought of under it.
        with _told(agent_id):
            self._log.write(agent_id, change, fence=fence, expected=expected)

    # -- transactions ------------------------------------------------------------------------------------

    @property
    def _transaction(self) -> Transaction | None:
        return getattr(self._local, "transaction", None)

    def begin_transaction(self) -> Transaction:
        """Begin a transaction of this thread; it sees what it changes itself.

        Raises StateError when there is one.
        """
        if self._transaction is not None:
            raise StateError("this thread has begun a transaction already")
        self._local.transaction = Transaction()
        return self._local.transaction  # type: ignore[no-any-return]

    def commit_transaction(self) -> None:
        """Keep what the transaction changed, all or none.

        Raises StateError when there is no transaction, or others have changed the state since it was looked at.
        """
        transaction = self._ended()
        change = transaction.change
        if change.values or change.clears:
            self._write(transaction.agent, change, transaction.seen.version)

    def rollback_transaction(self) -> None:
        """Forget what the transaction changed.

        Raises StateError when there is no transaction.
        """
        self._ended()

    def _ended(self) -> Transaction:
        transaction = self._transaction
        if transaction is None:
            raise StateError("this thread has begun no transaction")
        self._local.transaction = None
        return transaction

    def _join(self, transaction: Transaction, agent_id: str) -> None:
        """Look at the state of the agent that a transaction is about.

        Raises StateError when it is about another one: two agents are two streams, and nothing keeps both or none.
        """
        if not transaction.agent:
            with _told(agent_id):
                transaction.seen = self._log.read(agent_id)
            transaction.agent = agent_id
        elif transaction.agent != agent_id:
            what = f"a transaction on the state of {transaction.agent!r} cannot take in that of {agent_id!r}"
            raise StateError(what, remedy="use one transaction for each agent")

    # -- backups -----------------------------------------------------------------------------------------

    def create_backup(self, agent_id: str) -> str:
        """Name the state as it is now; the name is good for as long as the store is.

        Raises StateError.
        """
        with _told(agent_id):
            return f"{agent_id}@{self._log.read(agent_id).version}"

    def restore_backup(self, agent_id: str, backup_id: str) -> bool:
        """Bring a named state back, at once; tell whether there is one of that name.

        Raises StateError and StateLockError.
        """
        name, _, version = backup_id.rpartition("@")
        if name != agent_id or not version.isdecimal():
            return False
        with _told(agent_id):
            current = self._log.read(agent_id)
            if int(version) > current.version:
                return False
            then = self._log.read_at(agent_id, int(version))
        self._change(agent_id, Change(dict(then.values), clears=True))
        return True

    # -- locks -------------------------------------------------------------------------------------------

    def acquire_lock(self, lock_name: str, timeout: float | None = None) -> bool:
        """Take a lock for so many seconds; False when somebody holds it, be it this manager.

        Raises StateError.
        """
        seconds = self._lock_timeout if timeout is None else timeout
        with _told(lock_name):
            fence = self._log.lock(
                lock_name, self._owner, max(1, round(seconds * 1000))
            )
        if fence is None:
            return False
        self._fences[lock_name] = fence
        return True

    def release_lock(self, lock_name: str) -> bool:
        """Give a lock back; tell whether it was still held.

        Raises StateError.
        """
        fence = self._fences.pop(lock_name, None)
        if fence is None:
            return False
        with _told(lock_name):
            return self._log.unlock(lock_name, fence)

    def fence_of(self, lock_name: str) -> int | None:
        """Return the fence of a lock that was acquired here: it only rises, so others can tell a late holder by it."""
        return self._fences.get(lock_name)


@contextmanager
def _told(agent_id: str) -> Iterator[None]:
    """Say of what the store refuses which state it was about.

    Raises StateError.
    """
    try:
        yield
    except WrongExpectedVersion as error:
        what = f"the state of {agent_id!r} was changed by another meanwhile"
        raise StateError(what, remedy="look at it again, and repeat") from error
    except EventStoreError as error:
        raise StateError(f"the state of {agent_id!r}: {error}") from error
