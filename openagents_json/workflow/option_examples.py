"""An example of each option of a document, by the name of its object: what editors show to whoever writes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openagents_json.workflow.types import Json

_STEPS: Final[Json] = [
    {"id": "fetch", "component": "http.get", "inputs": {"url": "{{input.url}}"}},
    {"id": "parse", "component": "parse", "inputs": {"text": "{{fetch.output}}"}},
]
_CONNECTIONS: Final[Json] = [{"source": "fetch", "target": "parse.text"}]
_OUTPUT: Final[Json] = {"text": "{{parse.output}}"}

_BLOCK: Final[Mapping[str, Json]] = {
    "steps": _STEPS,
    "connections": _CONNECTIONS,
    "execution": "graph",
    "output": _OUTPUT,
}

EXAMPLES: Final[Mapping[str, Mapping[str, Json]]] = {
    "Document": {
        **_BLOCK,
        "id": "order-processing",
        "version": "1.2.0",
        "name": "Order processing",
        "description": "Charges an order and ships it.",
        "inputs": {"order": {"type": "string", "required": True}},
        "outputs": {"receipt": {"type": "string", "source": "{{charge.output.id}}"}},
        "state_dependencies": {"persistence": "disk"},
        "metadata": {"author": "Ada", "tags": ["orders"]},
        "timeout": 3600,
        "persistence": "checkpoint",
        "concurrency": {"key": "{{input.customer}}", "limit": 1},
        "debounce": {"key": "{{input.customer}}", "seconds": 30},
        "budget": {"cost": "2.50", "on_exceeded": "pause"},
        "on_failure": {"component": "alarm", "inputs": {"why": "{{error.message}}"}},
    },
    "Parameter": {
        "type": "string",
        "description": "The number of the order.",
        "default": "standard",
        "required": True,
        "enum": ["standard", "express"],
        "pattern": "^[A-Z]{2}-[0-9]+$",
        "minimum": 1,
        "maximum": 100,
        "format": "date",
        "source": "{{charge.output.id}}",
    },
    "StateDependencies": {
        "isolation": "workflow",
        "persistence": "disk",
        "sharing": ["orders"],
    },
    "Persistence": {"mode": "checkpoint", "every_steps": 100, "every_seconds": 0.5},
    "Concurrency": {"key": "{{input.customer}}", "limit": 3, "on_limit": "reject"},
    "Budget": {
        "cost": "2.50",
        "tokens": 200_000,
        "input_tokens": 150_000,
        "output_tokens": 50_000,
        "on_exceeded": "ask",
    },
    "Debounce": {"key": "{{input.customer}}", "seconds": 30},
    "FailureBlock": _BLOCK,
    "Block": _BLOCK,
    "Loop": {
        **_BLOCK,
        "while": "{{index < 3}}",
        "until": "{{poll.output.done}}",
        "max_iterations": 100,
        "at_limit": "fail",
    },
    "Connection": {
        "source": "fetch.output",
        "target": "parse.text",
        "condition": "value != ''",
        "transform": "value | upper",
    },
    "Retry": {
        "max_retries": 5,
        "delay_seconds": 2,
        "backoff_multiplier": 2,
        "max_delay_seconds": 60,
        "max_elapsed_seconds": 600,
        "max_retry_after_seconds": 3600,
        "jitter": 0.2,
        "retry_on": ["ConnectionError", "TimeoutError"],
        "no_retry_on": ["ValueError"],
    },
    "Timeouts": {
        "schedule_to_start": 600,
        "start_to_close": 60,
        "heartbeat": 10,
        "total": 3600,
    },
    "Ending": {"status": "failure", "output": {"reason": "out of stock"}},
    "Count": {"n": 2, "cancel_rest": True},
    "Call": {
        "component": "payment.refund",
        "inputs": {"charge": "{{result.id}}"},
        "retry": {"max_retries": 10, "delay_seconds": 5},
        "timeout": 60,
    },
    "Mutex": {"key": "account-{{input.account}}", "limit": 2},
    "RateLimit": {"key": "mail", "limit": 10, "per_seconds": 60},
    "Goto": {"goto": "refund"},
    "ErrorHandler": {
        "errors": ["OutOfStock"],
        "then": "continue",
        "goto": "refund",
        "step": "refund",
        "output": {"found": False, "why": "{{error.message}}"},
    },
    "Step": {
        **_BLOCK,
        "id": "charge",
        "name": "Charge the customer",
        "description": "Takes the money once the order is complete.",
        "component": "payment.charge@^1.4",
        "workflow": "shipping@stable",
        "wait_for": {"signal": "approved", "timeout": 86400},
        "sleep": {"minutes": 5},
        "loop": {
            "until": "{{poll.output.done}}",
            "max_iterations": 100,
            "steps": [{"id": "poll", "component": "shop.poll"}],
        },
        "detached": True,
        "terminate": {"status": "failure", "output": "out of stock"},
        "inputs": {"order": "{{input.order}}", "amount": 20},
        "outputs": {"receipt": "{{result.id}}"},
        "condition": "{{fetch.output.total > 0}}",
        "retry": {"max_retries": 3, "delay_seconds": 1, "backoff_multiplier": 2},
        "timeout": 60,
        "timeouts": {"heartbeat": 10, "total": 3600},
        "foreach": "{{input.files}}",
        "item": "file",
        "index": "number",
        "max_concurrency": 10,
        "tolerated_failures": 5,
        "min_success": 1,
        "enough": {"n": 3, "cancel_rest": True},
        "compensate": "payment.refund",
        "mutex": "account-{{input.account}}",
        "rate_limit": {"limit": 10, "per_seconds": 60},
        "depends_on": ["fetch"],
        "join": "any",
        "on_error": [{"errors": ["OutOfStock"], "then": {"goto": "refund"}}],
        "effect": "at_most_once",
        "priority": 10,
        "state": {"persist": True},
        "metadata": {"owner": "payments"},
    },
    "Duration": {
        "seconds": 30,
        "minutes": 5,
        "hours": "{{input.hours}}",
        "days": 1,
        "until": "2026-12-24T18:00:00Z",
    },
    "Signal": {
        "signal": "approved",
        "key": "{{input.order}}",
        "schema": {"type": "object", "required": ["by"]},
        "timeout": 86400,
    },
    "Nap": {"sleep": {"hours": 1}},
    "FirstOf": {
        "any": ["approved", "refused", {"sleep": {"days": 1}}],
        "timeout": 86400,
    },
}
"""What fits each option; a test holds that there is one for each, and that it fits."""
