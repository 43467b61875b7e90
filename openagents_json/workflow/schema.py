"""The structure of a document as JSON Schema (draft 2020-12); `docs/reference/workflow.schema.json` publishes it."""

from __future__ import annotations

from typing import Any, Final

ID: Final = "^[a-zA-Z0-9-_]+$"
SEMVER: Final = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
_TEXT: Final = {"type": "string"}
_SECONDS: Final = {"type": "number", "minimum": 0, "maximum": 3.2e9}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_STEP_ID: Final = {"type": "string", "pattern": ID, "minLength": 1, "maxLength": 256}

_PARAMETER: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "type": {"enum": ["string", "number", "integer", "boolean", "object", "array", "any"]},
        "description": _TEXT,
        "default": True,
        "required": {"type": "boolean"},
        "enum": {"type": "array"},
        "pattern": {"type": "string", "format": "regex"},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
        "format": _TEXT,
        "source": _TEXT,
    },
}

_STEP: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": _STEP_ID,
        "name": _TEXT,
        "description": _TEXT,
        "component": {"type": "string", "minLength": 1},
        "workflow": {"type": "string", "minLength": 1},
        "wait_for": {"type": ["string", "object"]},
        "sleep": {"type": ["number", "string", "object"]},
        "loop": {"type": "object"},
        "terminate": {
            "oneOf": [
                {"enum": ["success", "failure"]},
                {
                    "type": "object",
                    "properties": {"status": {"enum": ["success", "failure"]}, "output": True},
                },
            ]
        },
        "inputs": {"type": "object"},
        "outputs": {"type": "object"},
        "condition": {"type": ["string", "boolean"]},
        "retry": {
            "type": "object",
            "properties": {
                "max_attempts": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
                "delay_seconds": _SECONDS,
                "backoff_multiplier": {"type": "number", "minimum": 1},
                "max_delay_seconds": _SECONDS,
                "jitter": {"anyOf": [{"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 1}]},
                "retry_on": _TEXTS,
                "no_retry_on": _TEXTS,
            },
        },
        "timeout": _SECONDS,
        "timeouts": {
            "type": "object",
            "properties": {
                "schedule_to_start": _SECONDS,
                "start_to_close": _SECONDS,
                "heartbeat": _SECONDS,
                "total": _SECONDS,
            },
        },
        "foreach": True,
        "depends_on": {"type": "array", "items": {"type": "string"}},
        "join": {
            "oneOf": [
                {"enum": ["all", "any"]},
                {
                    "type": "object",
                    "required": ["n"],
                    "properties": {"n": {"type": "integer", "minimum": 1}, "cancel_rest": {"type": "boolean"}},
                },
            ]
        },
        "on_error": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["then"],
                "properties": {
                    "errors": _TEXTS,
                    "then": {
                        "anyOf": [
                            {"enum": ["continue", "fail", "goto"]},
                            {"type": "string", "pattern": "^goto[- :].+$"},
                            {"type": "object", "required": ["goto"], "properties": {"goto": _TEXT}},
                        ]
                    },
                    "goto": _TEXT,
                    "step": _TEXT,
                    "output": True,
                },
            },
        },
        "effect": {"enum": ["pure", "idempotent", "at_most_once", "compensable", "irreversible"]},
        "priority": {"type": "integer", "minimum": -1000, "maximum": 1000},
        "state": {"type": "object"},
        "metadata": {"type": "object"},
    },
}

_CONNECTION: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["source", "target"],
    "properties": {
        "source": _TEXT,
        "target": _TEXT,
        "condition": {"type": ["string", "boolean"]},
        "transform": _TEXT,
    },
}

SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "OpenAgents JSON workflow",
    "type": "object",
    "required": ["id", "steps"],
    "properties": {
        "id": _STEP_ID,
        "version": {"type": "string", "pattern": SEMVER},
        "name": _TEXT,
        "description": _TEXT,
        "inputs": {"type": "object", "additionalProperties": _PARAMETER},
        "outputs": {"type": "object", "additionalProperties": _PARAMETER},
        "output": True,
        "steps": {"type": "array", "minItems": 1, "items": _STEP},
        "connections": {"type": "array", "items": _CONNECTION},
        "state_dependencies": {
            "type": "object",
            "properties": {
                "isolation": {"enum": ["none", "step", "agent", "workflow"]},
                "persistence": {"enum": ["none", "memory", "disk", "database"]},
                "sharing": {"type": "array"},
            },
        },
        "metadata": {"type": "object"},
        "timeout": _SECONDS,
        "persistence": {"type": ["string", "object"]},
        "concurrency": {"type": "object"},
        "on_failure": True,
        "execution": {"enum": ["sequential", "graph"]},
    },
}

KNOWN_KEYS: Final = {
    "document": frozenset(SCHEMA["properties"]) | {"$schema", "schema_version", "engine"},
    "step": frozenset(_STEP["properties"])
    | {"max_concurrency", "tolerated_failures", "min_success", "compensate", "mutex", "rate_limit", "item"},
    "connection": frozenset(_CONNECTION["properties"]) | {"id", "name", "description", "metadata"},
}
UNSUPPORTED_STEP: Final = ("workflow", "wait_for", "sleep", "loop", "foreach", "compensate", "mutex", "rate_limit")
UNSUPPORTED_DOCUMENT: Final = ("concurrency", "on_failure")
