"""The structure of a document as JSON Schema (draft 2020-12); `docs/reference/workflow.schema.json` publishes it."""

from __future__ import annotations

from typing import Any, Final

ID: Final = "^[a-zA-Z0-9-_]+$"
SEMVER: Final = r"^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$"
_TEXT: Final = {"type": "string"}
_SECONDS: Final = {"type": "number", "minimum": 0, "maximum": 3.2e9}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_STEP_ID: Final = {"type": "string", "pattern": ID, "minLength": 1, "maxLength": 256}
_NAME: Final = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
_WORDS: Final = {"type": "string", "minLength": 1}
_COUNT: Final = {"type": "integer", "minimum": 0}
_WHOLE: Final = {"type": "integer", "minimum": 1}
_CONDITION: Final = {"type": ["string", "boolean"]}
_BLOCK: Final[dict[str, Any]] = {
    "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
    "connections": {"type": "array", "items": {"$ref": "#/$defs/connection"}},
    "execution": {"enum": ["sequential", "graph"]},
    "output": True,
}
_DURATION: Final[dict[str, Any]] = {
    unit: {"anyOf": [_SECONDS, _TEXT]} for unit in ("seconds", "minutes", "hours", "days")
} | {"until": {"anyOf": [_SECONDS, _WORDS]}}
_SIGNAL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["signal"],
    "properties": {
        "signal": _WORDS,
        "key": {"type": ["string", "number", "boolean"]},
        "schema": {"type": ["object", "boolean"]},
        "timeout": {"anyOf": [_SECONDS, _TEXT]},
    },
}
_WAIT: Final[dict[str, Any]] = {
    "anyOf": [
        _WORDS,
        _SIGNAL,
        {
            "type": "object",
            "required": ["any"],
            "properties": {
                "any": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "anyOf": [
                            _WORDS,
                            _SIGNAL,
                            {
                                "type": "object",
                                "required": ["sleep"],
                                "properties": {"sleep": {"$ref": "#/$defs/sleep"}},
                            },
                            {"type": "object", "minProperties": 1, "properties": _DURATION},
                        ]
                    },
                },
                "timeout": {"anyOf": [_SECONDS, _TEXT]},
            },
        },
    ]
}
_CALL: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["component"],
    "properties": {
        "component": _WORDS,
        "inputs": {"type": "object"},
        "retry": {"$ref": "#/$defs/retry"},
        "timeout": _SECONDS,
    },
}

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

_RETRY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "max_retries": {"type": "integer", "minimum": 0, "maximum": 1_000_000},
        "max_attempts": {"type": "integer", "minimum": 0, "maximum": 1_000_000, "deprecated": True},
        "delay_seconds": _SECONDS,
        "backoff_multiplier": {"type": "number", "minimum": 1},
        "max_delay_seconds": _SECONDS,
        "max_retry_after_seconds": _SECONDS,
        "jitter": {"anyOf": [{"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 1}]},
        "retry_on": _TEXTS,
        "no_retry_on": _TEXTS,
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
        "wait_for": _WAIT,
        "sleep": {"$ref": "#/$defs/sleep"},
        "loop": {
            "type": "object",
            "required": ["max_iterations"],
            "properties": {
                "while": _CONDITION,
                "until": _CONDITION,
                "max_iterations": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                "at_limit": {"enum": ["complete", "fail"]},
                **_BLOCK,
            },
        },
        **_BLOCK,
        "detached": {"type": "boolean"},
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
        "retry": {"$ref": "#/$defs/retry"},
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
        "foreach": {"type": ["string", "array", "object"]},
        "item": _NAME,
        "index": _NAME,
        "max_concurrency": {"type": "integer", "minimum": 1, "maximum": 10_000},
        "tolerated_failures": _COUNT,
        "min_success": _COUNT,
        "enough": {
            "anyOf": [
                _WHOLE,
                {
                    "type": "object",
                    "required": ["n"],
                    "properties": {"n": _WHOLE, "cancel_rest": {"type": "boolean"}},
                },
            ]
        },
        "compensate": {"anyOf": [_WORDS, _CALL]},
        "mutex": {
            "anyOf": [
                _WORDS,
                {"type": "object", "required": ["key"], "properties": {"key": _WORDS, "limit": _WHOLE}},
            ]
        },
        "rate_limit": {
            "type": "object",
            "required": ["limit"],
            "properties": {
                "key": _WORDS,
                "limit": _WHOLE,
                "per_seconds": {"type": "number", "exclusiveMinimum": 0, "maximum": 3.2e9},
            },
        },
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
        "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
        "connections": {"type": "array", "items": {"$ref": "#/$defs/connection"}},
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
        "persistence": {
            "anyOf": [
                {"enum": ["step", "checkpoint", "outcome"]},
                {
                    "type": "object",
                    "required": ["mode"],
                    "properties": {
                        "mode": {"enum": ["step", "checkpoint", "outcome"]},
                        "every_steps": _WHOLE,
                        "every_seconds": _SECONDS,
                    },
                },
            ]
        },
        "concurrency": {
            "type": "object",
            "required": ["limit"],
            "properties": {
                "key": _WORDS,
                "limit": _WHOLE,
                "on_limit": {"enum": ["queue", "reject", "cancel_oldest"]},
            },
        },
        "debounce": {"type": "object", "required": ["seconds"], "properties": {"key": _WORDS, "seconds": _SECONDS}},
        "on_failure": {
            "anyOf": [
                _WORDS,
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
                {"type": "object", "required": ["steps"], "properties": _BLOCK},
                {"$ref": "#/$defs/work", "required": ["component"]},
                {"$ref": "#/$defs/work", "required": ["workflow"]},
            ]
        },
        "execution": {"enum": ["sequential", "graph"]},
    },
    "$defs": {
        "work": {key: value for key, value in _STEP.items() if key != "required"},
        "step": {"$ref": "#/$defs/work", "required": _STEP["required"]},
        "connection": _CONNECTION,
        "retry": _RETRY,
        "sleep": {
            "anyOf": [_SECONDS, _WORDS, {"type": "object", "minProperties": 1, "properties": _DURATION}],
        },
    },
}

KNOWN_KEYS: Final = {
    "document": frozenset(SCHEMA["properties"]) | {"$schema", "schema_version", "engine"},
    "step": frozenset(_STEP["properties"]),
    "connection": frozenset(_CONNECTION["properties"]) | {"id", "name", "description", "metadata"},
}
