"""What a state manager can do."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openagents_json.core.errors import StateCorruptionError as StateCorruptionError
from openagents_json.core.errors import (
    StateDeserializationError as StateDeserializationError,
)
from openagents_json.core.errors import StateError as StateError
from openagents_json.core.errors import StateLockError as StateLockError
from openagents_json.core.errors import (
    StateSerializationError as StateSerializationError,
)


class StateManager(abc.ABC):
    """Keeps the state of agents: values by agent and key."""

    _backup_policy = "manual"

    @abc.abstractmethod
    def get_state(self, agent_id: str, key: str, default: Any = None) -> Any:
        """Return a value, the default when there is none."""

    @abc.abstractmethod
    def set_state(self, agent_id: str, key: str, value: Any) -> None:
        """Keep a value."""

    @abc.abstractmethod
    def delete_state(self, agent_id: str, key: str) -> None:
        """Forget a value."""

    @abc.abstractmethod
    def clear_state(self, agent_id: str) -> None:
        """Forget all values of an agent."""

    @abc.abstractmethod
    def exists(self, agent_id: str, key: str) -> bool:
        """Tell whether there is a value."""

    @abc.abstractmethod
    def keys(self, agent_id: str) -> list[str]:
        """Return the keys of an agent."""

    @abc.abstractmethod
    def get_bulk_state(self, agent_id: str, keys: Sequence[str]) -> dict[str, Any]:
        """Return those of some values that there are."""

    @abc.abstractmethod
    def set_bulk_state(self, agent_id: str, key_values: Mapping[str, Any]) -> None:
        """Keep several values, all or none."""

    @abc.abstractmethod
    def begin_transaction(self) -> Any:
        """Begin a transaction of this thread."""

    @abc.abstractmethod
    def commit_transaction(self) -> None:
        """Keep what the transaction changed, all or none."""

    @abc.abstractmethod
    def rollback_transaction(self) -> None:
        """Forget what the transaction changed."""

    @abc.abstractmethod
    def validate_state(self, agent_id: str) -> bool:
        """Tell whether all values of an agent can be read."""

    @abc.abstractmethod
    def create_backup(self, agent_id: str) -> str:
        """Name the state as it is now."""

    @abc.abstractmethod
    def restore_backup(self, agent_id: str, backup_id: str) -> bool:
        """Bring a named state back; tell whether there is one of that name."""

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Any]:
        """Keep what a block changes, all of it, or nothing when the block raises.

        Raises StateError when others have changed the state since the block looked at it.
        """
        yielded = self.begin_transaction()
        try:
            yield yielded
        except BaseException:
            self.rollback_transaction()
            raise
        self.commit_transaction()

    def backup_policy(self, policy: str = "manual") -> None:
        """Say at which event `maybe_create_backup` makes one: manual, before_execution, after_execution, on_error."""
        self._backup_policy = policy

    def maybe_create_backup(self, agent_id: str, event: str) -> str | None:
        """Make a backup if the policy is for this event, or `always`; gives its name."""
        if self._backup_policy not in (event, "always"):
            return None
        return self.create_backup(agent_id)
