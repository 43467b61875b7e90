"""The JSON Schema of `openagents.toml`: what a profile may say, made of the settings themselves."""

from __future__ import annotations

from typing import Any, Final

from openagents_json.engine.settings import Settings

ID: Final = "urn:openagents-json:profiles"
"""The name of the schema; it never changes."""

_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_AS_IN_FILES: Final[dict[str, Any]] = {
    "components": {"anyOf": [{"type": "string"}, _TEXTS]},
    "queues": {"anyOf": [{"type": "string"}, _TEXTS]},
    "encryption_keys": {"anyOf": [{"type": "string"}, _TEXTS]},
    "leases": {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "additionalProperties": {"type": ["integer", "string"]},
            },
        ]
    },
}
"""Settings that are texts in variables, and may be more in a file."""


def profiles_schema() -> dict[str, Any]:
    """Return the schema of a file of profiles."""
    schema = Settings.model_json_schema()
    definitions = schema.pop("$defs", {})
    profile = {
        "type": "object",
        "properties": {**schema["properties"], **_AS_IN_FILES},
        "additionalProperties": False,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "openagents.toml",
        "type": "object",
        "properties": {
            "default_profile": {"type": "string"},
            "profiles": {"type": "object", "additionalProperties": profile},
        },
        "additionalProperties": False,
        "$defs": definitions,
    }
