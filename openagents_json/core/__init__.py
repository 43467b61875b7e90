"""The names of 0.1.4 on this engine: the app with its decorators and registries, and the state of agents.

They are a facade: what they say is done by `openagents_json.engine`, which new programs use. Words are imported when
they are asked for first (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openagents_json.core.app import OpenAgentsApp
    from openagents_json.core.registry import (
        BaseComponentRegistry,
        ComponentMetadata,
        InMemoryComponentRegistry,
        component_registry,
    )
    from openagents_json.settings import Settings

__all__ = [
    "BaseComponentRegistry",
    "ComponentMetadata",
    "InMemoryComponentRegistry",
    "OpenAgentsApp",
    "Settings",
    "component_registry",
]

_HOMES = {"OpenAgentsApp": "core.app", "Settings": "settings"}


def __getattr__(name: str) -> Any:
    """Import a word when it is asked for first."""
    if name not in __all__:
        raise AttributeError(f"module 'openagents_json.core' has no attribute {name!r}")
    home = _HOMES.get(name, "core.registry")
    return getattr(import_module(f"openagents_json.{home}"), name)


def __dir__() -> list[str]:
    """Name the words, imported or not."""
    return sorted(__all__)
