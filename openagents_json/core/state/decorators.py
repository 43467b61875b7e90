"""`@stateful`: attributes of objects that a state manager keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from openagents_json.core.state.base import StateManager
from openagents_json.core.state.manager import get_state_manager


class StatefulProperty(property):
    """An attribute that is kept under a key; `persistent` and `cached` are as they were declared."""

    def __init__(
        self, default: Callable[[Any], Any], key: str, persistent: bool, cached: bool
    ) -> None:
        super().__init__(self._get, self._set, doc=default.__doc__)
        self._default = default
        self._stateful = True
        self._stateful_key = key
        self._stateful_persistent = persistent
        self._stateful_cached = cached
        self._cache = f"_cached_{default.__name__}"

    def _get(self, instance: Any) -> Any:
        if self._stateful_cached and self._cache in vars(instance):
            return vars(instance)[self._cache]
        manager = self._manager_of(instance)
        key = self._stateful_key
        if manager is not None and manager.exists(instance.agent_id, key):
            value = manager.get_state(instance.agent_id, key)
            self._remember(instance, value)
            return value
        value = self._default(instance)
        self._set(instance, value)
        return value

    def _set(self, instance: Any, value: Any) -> None:
        # First what can fail: an attribute that was not kept must not look as if it were.
        manager = self._manager_of(instance)
        if manager is not None:
            manager.set_state(instance.agent_id, self._stateful_key, value)
        self._remember(instance, value)

    def _manager_of(self, instance: Any) -> StateManager | None:
        if not self._stateful_persistent:
            return None
        return getattr(instance, "_state_manager", None)

    def _remember(self, instance: Any, value: Any) -> None:
        if self._stateful_cached or not self._stateful_persistent:
            vars(instance)[self._cache] = value

    def forget(self, instance: Any) -> None:
        """Read the attribute anew when it is asked for next."""
        vars(instance).pop(self._cache, None)


def stateful(
    key: Any = None,
    serializer: str | None = None,
    persistent: bool = True,
    cached: bool = True,
) -> Any:
    """Make an attribute of a method, which gives its first value; with or without parentheses.

    The values of a manager are written by its serializer: another one can be asked for there.
    """
    del serializer

    def make(default: Callable[[Any], Any]) -> StatefulProperty:
        name = key if isinstance(key, str) else default.__name__
        return StatefulProperty(default, name, persistent, cached)

    if callable(key):
        return make(key)
    return make


class StatefulBase:
    """An object with an `agent_id` and stateful attributes."""

    agent_id: str

    def __init__(
        self, state_manager: StateManager | None = None, *args: Any, **kwargs: Any
    ) -> None:
        self._state_manager = state_manager or get_state_manager()
        super().__init__(*args, **kwargs)

    def _attributes(self) -> Iterator[tuple[str, StatefulProperty]]:
        names = dict.fromkeys(
            name for base in type(self).__mro__ for name in vars(base)
        )
        for name in names:
            attribute = getattr(type(self), name, None)
            if isinstance(attribute, StatefulProperty):
                yield name, attribute

    def save_state(self) -> None:
        """Keep all stateful attributes as they are, all or none.

        Raises StateError.
        """
        values = {
            attribute._stateful_key: getattr(self, name)
            for name, attribute in self._attributes()
            if attribute._stateful_persistent
        }
        self._state_manager.set_bulk_state(self.agent_id, values)

    def load_state(self) -> None:
        """Read all stateful attributes anew.

        Raises StateError.
        """
        for name, attribute in self._attributes():
            attribute.forget(self)
            getattr(self, name)

    def clear_state(self) -> None:
        """Forget the state of this object.

        Raises StateError.
        """
        self._state_manager.clear_state(self.agent_id)
        for _, attribute in self._attributes():
            attribute.forget(self)

    def get_state_snapshot(self) -> dict[str, Any]:
        """Return all values that are kept for this object.

        Raises StateError.
        """
        keys = self._state_manager.keys(self.agent_id)
        return self._state_manager.get_bulk_state(self.agent_id, keys)

    def restore_from_snapshot(self, snapshot: Mapping[str, Any]) -> None:
        """Keep the values of a snapshot, and read the attributes anew.

        Raises StateError.
        """
        self._state_manager.set_bulk_state(self.agent_id, snapshot)
        self.load_state()
