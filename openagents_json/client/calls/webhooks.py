"""Webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.client.calls.call import Call, as_type, get, nothing, path
from openagents_json.engine.answers.webhooks import WebhookInfo


def register(name: str, spec: Mapping[str, Any]) -> Call[WebhookInfo]:
    """Return the call that registers a webhook, or replaces it."""
    return Call(
        "PUT",
        path("webhooks", name),
        as_type(WebhookInfo),
        body=dict(spec),
        repeatable=True,
    )


def every() -> Call[list[WebhookInfo]]:
    """Return the call for all webhooks."""
    return get(path("webhooks"), as_type(list[WebhookInfo]))


def one(name: str) -> Call[WebhookInfo]:
    """Return the call for a webhook."""
    return get(path("webhooks", name), as_type(WebhookInfo))


def delete(name: str) -> Call[None]:
    """Return the call that removes a webhook."""
    return Call("DELETE", path("webhooks", name), nothing)
