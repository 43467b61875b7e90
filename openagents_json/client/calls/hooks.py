"""Inbound hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.client.calls.call import Call, as_type, get, nothing, path, post
from openagents_json.engine.answers.hooks import Delivery, HookInfo, ReceivedDelivery


def register(name: str, spec: Mapping[str, Any]) -> Call[HookInfo]:
    """Return the call that registers a hook, or replaces it."""
    return Call(
        "PUT", path("hooks", name), as_type(HookInfo), body=dict(spec), repeatable=True
    )


def every() -> Call[list[HookInfo]]:
    """Return the call for all hooks."""
    return get(path("hooks"), as_type(list[HookInfo]))


def one(name: str) -> Call[HookInfo]:
    """Return the call for a hook."""
    return get(path("hooks", name), as_type(HookInfo))


def delete(name: str) -> Call[None]:
    """Return the call that removes a hook."""
    return Call("DELETE", path("hooks", name), nothing)


def deliveries(name: str, limit: int) -> Call[list[Delivery]]:
    """Return the call for the newest deliveries to a hook."""
    return get(path("hooks", name, "deliveries"), as_type(list[Delivery]), limit=limit)


def delivery(name: str, delivery: str) -> Call[Delivery]:
    """Return the call for a delivery with what it said."""
    return get(path("hooks", name, "deliveries", delivery), as_type(Delivery))


def replay(name: str, delivery: str, key: str) -> Call[ReceivedDelivery]:
    """Return the call that carries a delivery out again."""
    where = path("hooks", name, "deliveries", delivery, "replay")
    return post(where, {}, as_type(ReceivedDelivery), key=key)
