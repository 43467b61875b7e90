"""What is told of an event, and the run that tells it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from eventstore.event import Recorded
from executor.coordination.schedule_times import iso
from openagents_json.engine.webhooks.spec import WebhookSpec

WORKFLOW: Final = "openagents-webhook"
"""The workflow whose runs are deliveries; nothing is told of those."""

LABEL: Final = "webhook"
"""The label of a delivery that has the name of its webhook."""

LONGEST_WAIT_SECONDS: Final = 3600
_WORD: Final = re.compile(r"[A-Z][a-z0-9]*")


def document_of(spec: WebhookSpec) -> dict[str, Any]:
    """Return the document of which deliveries are runs."""
    retry = {
        "max_retries": spec.retry.max_retries,
        "delay_seconds": spec.retry.delay_seconds,
        "backoff_multiplier": 2,
        "max_delay_seconds": LONGEST_WAIT_SECONDS,
        "jitter": 0.1,
    }
    inputs = {
        "url": "{{input.url}}",
        "message_id": "{{input.message_id}}",
        "message": "{{input.message}}",
        "secret": f"{{{{secrets.{spec.secret}}}}}",
    }
    step = {
        "id": "deliver",
        "component": "webhook.deliver@^1",
        "inputs": inputs,
        "retry": retry,
    }
    return {
        "id": WORKFLOW,
        "version": "1.0.0",
        "inputs": {
            "url": {"type": "string", "required": True},
            "message_id": {"type": "string", "required": True},
            "message": {"type": "object", "required": True},
        },
        "steps": [step],
        "output": "{{deliver.output}}",
    }


def key_of(webhook: str, event: Recorded) -> str:
    """Return what makes a delivery one: the webhook and the position of the event, by which its run is named.

    A log that has lost its tail gives positions a second time: so the commit of the event belongs to it.
    """
    position = event.position
    parts = (webhook, str(position.partition), str(position.n), event.commit)
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass"))
    return f"webhook-{digest.hexdigest()}"


def inputs_of(
    spec: WebhookSpec, key: str, event: Recorded, begun: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs of a delivery; `begun` is what the first event of the run says.

    Nothing that a run works with is in it, as that may be encrypted here and would be plain there.
    """
    message = {
        "type": name_of(event.type),
        "timestamp": iso(event.time_ms),
        "data": {
            "run": event.stream,
            "workflow": begun["workflow"],
            "workflow_version": begun["version"],
            "labels": dict(begun.get("labels") or {}),
            "event": event.type,
            "event_version": event.version,
            "actor": event.actor,
        },
    }
    message_id = f"msg_{key.removeprefix('webhook-')[:32]}"
    return {"url": spec.url, "message_id": message_id, "message": message}


def name_of(kind: str) -> str:
    """Return the type of a message: "run.completed" for RunCompleted, "step.attempt_failed" for StepAttemptFailed."""
    first, *rest = map(str.lower, _WORD.findall(kind))
    return f"{first}.{'_'.join(rest)}"
