"""Which state manager a program uses: the one that was set, or that of the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from openagents_json.core.errors import UnknownSetting
from openagents_json.core.state.base import StateManager
from openagents_json.core.state.managers import (
    KEY_PREFIX,
    FileStateManager,
    MemoryStateManager,
    RedisStateManager,
    refuse_database,
)
from openagents_json.settings import get_settings

_CURRENT: Final[dict[str, StateManager]] = {}
"""The manager of this program, once there is one."""


def get_state_manager(name: str | None = None) -> StateManager:
    """Return the manager of this program; the first caller, or else the settings, say of which kind it is.

    Raises UnknownSetting, which is a ValueError, NotOffered and StateError.
    """
    if not _CURRENT:
        state = get_settings().state
        config = {
            "type": name or state.manager,
            "file_path": state.file_path,
            "redis_url": state.redis_url,
            "serializer": state.serializer,
        }
        _CURRENT.setdefault("manager", configure_state_manager(config))
    return _CURRENT["manager"]


def set_state_manager(manager: StateManager) -> None:
    """Use this manager from now on."""
    _CURRENT["manager"] = manager


def configure_state_manager(config: Mapping[str, Any]) -> StateManager:
    """Make a manager of what a mapping says: `type` memory, file or redis, `file_path`, `redis_url`, `key_prefix`.

    Raises as `get_state_manager` does.
    """
    kind = config.get("type", "memory")
    make = _MAKERS.get(kind)
    if make is None:
        kinds = ", ".join(_MAKERS)
        what = f"there is no state manager {kind!r}"
        raise UnknownSetting(what, remedy=f"take one of {kinds}")
    return make(config)


def _in_memory(_: Mapping[str, Any]) -> StateManager:
    return MemoryStateManager()


def _in_directory(config: Mapping[str, Any]) -> StateManager:
    folder = config.get("file_path") or "~/.openagents/state"
    return FileStateManager(folder, config.get("serializer", "json"))


def _on_server(config: Mapping[str, Any]) -> StateManager:
    return RedisStateManager(
        config.get("redis_url"),
        config.get("serializer", "json"),
        config.get("key_prefix", KEY_PREFIX),
    )


def _in_database(_: Mapping[str, Any]) -> StateManager:
    refuse_database()


_MAKERS: Final[Mapping[str, Callable[[Mapping[str, Any]], StateManager]]] = {
    "memory": _in_memory,
    "file": _in_directory,
    "redis": _on_server,
    "database": _in_database,
}
