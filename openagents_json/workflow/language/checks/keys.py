"""Keys that mean nothing: told as warnings where 0.1.4 let anything stand, as errors inside of what it never had.

A misspelt key of a retry, a wait or a limit would be passed over in silence, and the run would not do what its document
says. Only objects whose keys the schema lists are looked at; inputs, outputs, metadata and states are anybody's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.options import Renamed
from openagents_json.workflow.language.problems import Collector, Fix, Nearest
from openagents_json.workflow.language.schema import KNOWN_KEYS, RENAMED, SCHEMA

_KINDS: Final = {"#/$defs/step": "step", "#/$defs/connection": "connection"}
ITEMS: Final = ("steps", "connections")
"""What a document has an array of, each item of which is looked at by itself."""

_OPEN: Final = frozenset({"state_dependencies"})
"""Objects of 0.1.4 of which only a part means something here."""

_FOR_PEOPLE: Final = frozenset({"description", "$comment"})
"""What may stand in any object."""

Schema = Mapping[str, Any]


def check_keys(document: Mapping[str, Any], collector: Collector) -> None:
    """Look for keys that mean nothing, in a document of any shape, without its steps and connections."""
    _unknown(document, "document", "", collector)
    for name, value in document.items():
        schema = SCHEMA["properties"].get(name)
        if schema is not None and name not in _OPEN and name not in ITEMS:
            _walk(value, schema, f"/{escape(name)}", name, collector)


def check_item_keys(item: Any, name: str, pointer: str, collector: Collector) -> None:
    """Look for keys that mean nothing in one of the steps, or of the connections, of a document."""
    _walk(item, SCHEMA["properties"][name]["items"], pointer, name, collector)


def _walk(
    value: Any, schema: Any, pointer: str, name: str, collector: Collector
) -> None:
    if not isinstance(schema, Mapping) or not isinstance(value, Mapping | list | tuple):
        return
    kind = _KINDS.get(str(schema.get("$ref")))
    schema = _resolved(schema, value, name)
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _walk(
                value=item,
                schema=schema.get("items"),
                pointer=f"{pointer}/{index}",
                name=name,
                collector=collector,
            )
    elif isinstance(value, Mapping):
        _object(value, schema, pointer, kind or name, collector)


def _object(
    value: Mapping[str, Any],
    schema: Schema,
    pointer: str,
    name: str,
    collector: Collector,
) -> None:
    properties: Schema = schema.get("properties") or {}
    others = schema.get("additionalProperties")
    if name in _KINDS.values():
        _unknown(value, name, pointer, collector)
    elif properties and others is None:
        _misspelt(value, name, pointer, sorted(properties), collector)
    for word, renamed in RENAMED.items():
        if renamed.old in value and word in properties:
            _old_word(value, word, renamed, pointer, collector)
    for key, member in value.items():
        if isinstance(key, str):
            _walk(
                value=member,
                schema=properties.get(key, others),
                pointer=f"{pointer}/{escape(key)}",
                name=name if key == "any" else key,
                collector=collector,
            )


def _resolved(schema: Schema, value: Any, name: str) -> Schema:
    """Return the schema that a value is meant to fit: what a reference leads to, the alternative whose keys it has."""
    is_shorthand = (
        name in ("compensate", "on_failure")
        and isinstance(value, Mapping)
        and "steps" not in value
    )
    if is_shorthand:
        return _call()
    if "$ref" in schema:
        target: Schema = SCHEMA["$defs"][str(schema["$ref"]).rpartition("/")[2]]
        return _resolved(target, value, "")
    choices: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or ()
    if not choices:
        return schema
    resolved = [_resolved(choice, value, "") for choice in choices]
    if isinstance(value, list | tuple):
        return _meant_array(resolved)
    return _meant_object(resolved, value)


def _meant_array(choices: Sequence[Schema]) -> Schema:
    """Return the alternative that an array is meant to fit: the first one for arrays."""
    arrays = [choice for choice in choices if choice.get("type") == "array"]
    if arrays:
        return arrays[0]
    return {"type": "array", "properties": {}}


def _meant_object(choices: Sequence[Schema], value: Any) -> Schema:
    """Return the alternative whose keys an object has; all that any of them knows where it has none of them."""
    objects = [choice for choice in choices if choice.get("type") == "object"]
    keys = set(value)
    named = [choice for choice in objects if keys & set(choice.get("required", ()))]
    if named:
        return named[0]
    if len(objects) == 1:
        return objects[0]
    properties: dict[str, Any] = {}
    for choice in objects:
        properties |= choice.get("properties") or {}
    return {"type": "object", "properties": properties}


def _call() -> Schema:
    """Return what a component call may have that stands for a step: whatever goes with a component."""
    properties = SCHEMA["$defs"]["work"]["properties"]
    return {
        "type": "object",
        "properties": {key: item for key, item in properties.items() if key != "steps"},
    }


def _old_word(
    value: Mapping[str, Any],
    word: str,
    renamed: Renamed,
    pointer: str,
    collector: Collector,
) -> None:
    """Comment on the word that an option had before: documents that say it go on as they did."""
    old = renamed.old
    at = f"{pointer}/{old}"
    hint = f"say {word}"
    if word in value:
        message = f"{word} and {old} are two words for the same: {renamed.what}"
        collector.error("conflicting_keys", at, message, found=old, suggestion=hint)
    else:
        message = f"{old} {renamed.why}; {word} is the word for that"
        collector.warn(
            "deprecated_key",
            at,
            message,
            found=old,
            suggestion=hint,
            fix=Fix(old, word),
        )


def _misspelt(
    value: Mapping[str, Any],
    name: str,
    pointer: str,
    allowed: Sequence[str],
    collector: Collector,
) -> None:
    for key in value:
        is_unknown = (
            key not in allowed
            and key not in _FOR_PEOPLE
            and not str(key).startswith("x-")
        )
        if is_unknown:
            message = f"{key!r} means nothing in {name}; there are {', '.join(allowed)}"
            collector.error(
                "unknown_key",
                f"{pointer}/{escape(str(key))}",
                message,
                found=str(key),
                expected=list(allowed),
                near=Nearest(str(key), allowed),
            )


def _unknown(
    value: Mapping[str, Any], kind: str, pointer: str, collector: Collector
) -> None:
    for key in value:
        if key not in KNOWN_KEYS[kind]:
            message = f"{key!r} means nothing in a {kind}; it is kept and ignored"
            collector.warn(
                "unknown_key",
                f"{pointer}/{escape(key)}",
                message,
                found=key,
                near=Nearest(key, KNOWN_KEYS[kind]),
            )
