"""The state of agents, as 0.1.4 named it: each agent's state is a stream of events in the store."""

from openagents_json.core.errors import (
    StateCorruptionError,
    StateDeserializationError,
    StateError,
    StateLockError,
    StateSerializationError,
)
from openagents_json.core.state.base import StateManager
from openagents_json.core.state.decorators import StatefulBase, stateful
from openagents_json.core.state.manager import (
    configure_state_manager,
    get_state_manager,
    set_state_manager,
)
from openagents_json.core.state.managers import (
    DatabaseStateManager,
    FileStateManager,
    MemoryStateManager,
    RedisStateManager,
)
from openagents_json.core.state.serialization import (
    JsonSerializer,
    Serializer,
    get_serializer,
    register_serializer,
)

__all__ = [
    "DatabaseStateManager",
    "FileStateManager",
    "JsonSerializer",
    "MemoryStateManager",
    "RedisStateManager",
    "Serializer",
    "StateCorruptionError",
    "StateDeserializationError",
    "StateError",
    "StateLockError",
    "StateManager",
    "StateSerializationError",
    "StatefulBase",
    "configure_state_manager",
    "get_serializer",
    "get_state_manager",
    "register_serializer",
    "set_state_manager",
    "stateful",
]
