"""JSON Schemas without references: what each refers to stands in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_MOST_OBJECTS: Final = 500
_WHERE: Final = ("$defs", "definitions")
_SAYS_NOTHING: Final = frozenset(
    {"$ref", *_WHERE, "title", "description", "default", "examples", "deprecated"}
)
"""What may stand beside a reference without any rule in it."""

_DATA: Final = ("const", "enum", "default", "examples")
"""What holds values, in which nothing is a schema."""

_BY_NAME: Final = ("properties", "patternProperties", "dependentSchemas")
"""What holds schemas under names of members, which mean nothing here."""


def without_references(schema: Any, root: Any = None) -> Any:
    """Return a schema with what it refers to in its place.

    A reference into itself, and one of a very large schema, stays: what it means is not looked at. `root` is what
    references lead into, if that is not the schema itself.
    """
    whole = schema if root is None else root
    return _Inlining(whole).of(schema, ())


class _Inlining:
    """Puts definitions into the place of references."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _MOST_OBJECTS

    def of(self, schema: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(schema, list | tuple):
            return [self.of(item, inside) for item in schema]
        if not isinstance(schema, Mapping):
            return schema
        self._left -= 1
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return self._members(schema, inside)
        target = self._target(reference)
        if target is None or reference in inside or self._left < 0:
            return {"$ref": reference}
        meant = self.of(target, (*inside, reference))
        beside = {name: schema[name] for name in schema if name not in _SAYS_NOTHING}
        if not beside:
            return meant
        return {"allOf": [meant, self._members(beside, inside)]}

    def _members(self, schema: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
        return {
            name: self._member(name, member, inside)
            for name, member in schema.items()
            if name not in _WHERE
        }

    def _member(self, name: str, member: Any, inside: tuple[str, ...]) -> Any:
        if name in _DATA:
            return member
        if name in _BY_NAME and isinstance(member, Mapping):
            return {key: self.of(schema, inside) for key, schema in member.items()}
        return self.of(member, inside)

    def _target(self, reference: str) -> Any:
        """Return the definition that a reference names, None for any other reference."""
        _, first, *rest = [*reference.split("/"), ""]
        is_simple = reference.startswith("#/") and first in _WHERE and len(rest) == 2
        if not is_simple or not isinstance(self._root, Mapping):
            return None
        definitions = self._root.get(first)
        if not isinstance(definitions, Mapping):
            return None
        return definitions.get(rest[0])
