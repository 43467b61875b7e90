"""What a JSON Schema says of a part of its values: of a member, an item, and of any item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from openagents_json.workflow.language.checks.shapes import array_of
from openagents_json.workflow.validation.schemas.contradictions import (
    Schema,
    item_of,
    member_of,
    types_of,
)

NULL: Final = {"type": "null"}

_OTHER_RULES: Final = frozenset({"$ref", "allOf"})
"""Rules that may say more of members than stands beside them."""


def any_of(schemas: Sequence[Schema]) -> Schema:
    """Return the schema of values that are valid under one of some; true if one of them is true."""
    if any(schema is True or schema == {} for schema in schemas):
        return True
    possible = [schema for schema in schemas if schema is not False]
    if len(possible) < 2:
        return possible[0] if possible else False
    return {"anyOf": possible}


def at_path(schema: Schema, keys: Sequence[str | int]) -> Schema:
    """Return the schema of what is under some keys, if anything is; true where that is not known."""
    for key in keys:
        schema = _in_alternatives(schema, _reader(key))
    return schema


def any_item(schema: Schema) -> Schema:
    """Return the schema of the items that a foreach has of such a value; true where that is not known."""
    return _in_alternatives(schema, _items)


Reader = Callable[[Mapping[str, Any]], Schema]
"""Reads what one alternative of a schema says of a part; false where it has no such part."""


def _in_alternatives(schema: Schema, read: Reader) -> Schema:
    if not isinstance(schema, Mapping) or _OTHER_RULES & schema.keys():
        return True
    for word in ("anyOf", "oneOf"):
        if word in schema:
            parts = array_of(schema[word])
            return any_of([_in_alternatives(part, read) for part in parts])
    return read(schema)


def _reader(key: str | int) -> Reader:
    if isinstance(key, int):
        return lambda rules: _item(rules, key)
    return lambda rules: _member(rules, key)


def _item(rules: Mapping[str, Any], index: int) -> Schema:
    if rules == NULL:
        return NULL
    if not _is_only("array", rules):
        return True
    schema = item_of(rules, index)
    return True if schema is False else schema


def _member(rules: Mapping[str, Any], name: str) -> Schema:
    if rules == NULL:
        return NULL
    if not _is_only("object", rules):
        return True
    schema = member_of(rules, name)
    # What is never there is another problem than what it would be.
    return True if schema is False else schema


def _items(rules: Mapping[str, Any]) -> Schema:
    if rules == NULL:
        return False
    if not _is_only("array", rules):
        return True
    return any_of([*array_of(rules.get("prefixItems")), rules.get("items", True)])


def _is_only(name: str, rules: Mapping[str, Any]) -> bool:
    return types_of([rules]) == {name}
