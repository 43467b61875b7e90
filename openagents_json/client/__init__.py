"""The engine without a store: `Client` and `AsyncClient` call its services over HTTP.

Their methods, what these give and what they raise are those of `Engine`, as far as the HTTP API offers them. Neither
the driver of stores nor the server is imported; words are when they are asked for first (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openagents_json.client.awaiting.client import AsyncClient
    from openagents_json.client.awaiting.handle import AsyncClientRun
    from openagents_json.client.blocking.client import Client
    from openagents_json.client.blocking.handle import ClientRun
    from openagents_json.client.errors import (
        ClientNotInstalled,
        InvalidServiceKey,
        InvalidServiceUrl,
        NeedsStore,
        ServiceError,
        ServiceTimedOut,
        ServiceUnreachable,
    )

__all__ = [
    "AsyncClient",
    "AsyncClientRun",
    "Client",
    "ClientNotInstalled",
    "ClientRun",
    "InvalidServiceKey",
    "InvalidServiceUrl",
    "NeedsStore",
    "ServiceError",
    "ServiceTimedOut",
    "ServiceUnreachable",
]

_HERE = "openagents_json.client"
_HOMES = {
    "AsyncClient": f"{_HERE}.awaiting.client",
    "AsyncClientRun": f"{_HERE}.awaiting.handle",
    "Client": f"{_HERE}.blocking.client",
    "ClientRun": f"{_HERE}.blocking.handle",
}


def __getattr__(name: str) -> Any:
    """Import a word when it is asked for first."""
    if name not in __all__:
        raise AttributeError(f"module {_HERE!r} has no attribute {name!r}")
    home = _HOMES.get(name, f"{_HERE}.errors")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Name the words, imported or not."""
    return sorted(__all__)
