"""OpenAgents JSON: workflows as JSON documents, durable on Redis Streams.

These are the words for authors of components and documents; a running system is `openagents_json.engine.Engine`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openagents_json.rooms import ROOMS as _ROOMS
from openagents_json.rooms import settle as _settle

_settle(_ROOMS)

if TYPE_CHECKING:
    from openagents_json.authoring import Workflow
    from openagents_json.catalog.registry import Registry
    from openagents_json.components.context import Context
    from openagents_json.components.decorators import agent, asset, capability, tool
    from openagents_json.components.errors import (
        CancelledByEngine,
        ComponentError,
        InvalidComponentInput,
        NonRetryableError,
        RetryableError,
        UnknownComponent,
    )
    from openagents_json.core.app import OpenAgentsApp
    from openagents_json.errors import OpenAgentsError
    from openagents_json.models import WorkflowDocument
    from openagents_json.settings import configure_from_dict, get_settings, settings

__all__ = [
    "CancelledByEngine",
    "ComponentError",
    "Context",
    "InvalidComponentInput",
    "NonRetryableError",
    "OpenAgentsApp",
    "OpenAgentsError",
    "Registry",
    "RetryableError",
    "UnknownComponent",
    "Workflow",
    "WorkflowDocument",
    "__version__",
    "agent",
    "asset",
    "capability",
    "configure_from_dict",
    "get_settings",
    "settings",
    "tool",
]

_HOMES = {
    "OpenAgentsApp": "core.app",
    "OpenAgentsError": "errors",
    "configure_from_dict": "settings",
    "get_settings": "settings",
    "settings": "settings",
    "Workflow": "authoring",
    "WorkflowDocument": "models",
    "Context": "components.context",
    "Registry": "catalog.registry",
    "agent": "components.decorators",
    "asset": "components.decorators",
    "capability": "components.decorators",
    "tool": "components.decorators",
}


def __getattr__(name: str) -> Any:
    """Import a word when it is asked for first, so that the import of this package stays light (PEP 562)."""
    if name == "__version__":
        return import_module("importlib.metadata").version("openagents-json")
    if name not in __all__:
        raise AttributeError(f"module 'openagents_json' has no attribute {name!r}")
    home = import_module(f"openagents_json.{_HOMES.get(name, 'components.errors')}")
    value = getattr(home, name)
    if name == "settings":  # else the import leaves the module of that name here
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name the words, imported or not."""
    return sorted(__all__)
