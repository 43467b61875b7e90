"""Schemas of an OpenAPI document as JSON Schemas of their own: what they refer to goes with them, under `$defs`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import filterfalse, islice
from pathlib import Path
from typing import Any, Final

from openagents_json.components.declared.openapi.references import (
    References,
    reference_of,
)
from openagents_json.workflow.errors import InvalidPattern
from openagents_json.workflow.expressions.patterns import compile_pattern
from openagents_json.workflow.language.checks.shapes import array_of, object_of

_OF_NAMES: Final = ("properties", "patternProperties", "dependentSchemas")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE: Final = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains"),
    *("propertyNames", "unevaluatedItems", "unevaluatedProperties"),
)
_KEPT: Final = (
    *("type", "enum", "const", "format", "title", "description", "default"),
    *("pattern", "minLength", "maxLength", "multipleOf", "minimum", "maximum"),
    *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"),
    *("uniqueItems", "minProperties", "maxProperties", "required"),
    *("minContains", "maxContains", "deprecated", "dependentRequired"),
)
"""Keywords that mean what they say; those that are not named in this module are for people, or for other programs."""

_DEEPEST: Final = 20
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(slots=True)
class Schemas:
    """Converts the schemas of one direction: `hidden` is `readOnly` in what is sent, `writeOnly` in what comes back."""

    references: References
    hidden: str
    is_old: bool
    """The document is of OpenAPI 3.0, whose schemas are a dialect of their own."""

    definitions: dict[str, Any] = field(default_factory=dict)
    _names: dict[tuple[Path, str], str] = field(default_factory=dict)

    def converted(self, schema: Any, file: Path) -> Any:
        """Return a schema with references into `definitions`.

        Raises CannotLoad.
        """
        if isinstance(schema, bool):
            return schema
        reference = reference_of(schema)
        if reference is None:
            return self._own(object_of(schema), file)
        pointer = {"$ref": f"#/$defs/{self._definition(reference, file)}"}
        if self.is_old:
            return pointer  # what stands beside a reference means nothing there
        return {**self._own(schema, file), **pointer}

    def _definition(self, reference: str, file: Path) -> str:
        """Return the name of what a reference leads to among the definitions."""
        located = self.references.followed({"$ref": reference}, file)
        key = (located.file, located.pointer)
        if key not in self._names:
            name = self._free_name(located.pointer or located.file.stem)
            # First the name, then what it means: a schema may refer to itself.
            self._names[key] = name
            self.definitions[name] = {}
            self.definitions[name] = self.converted(located.value, located.file)
        return self._names[key]

    def _free_name(self, pointer: str) -> str:
        base = _UNSAFE.sub("_", pointer.rpartition("/")[2]) or "schema"
        name, number = base, 1
        while name in self.definitions:
            number += 1
            name = f"{base}_{number}"
        return name

    def _own(self, schema: Mapping[str, Any], file: Path) -> dict[str, Any]:
        own = dict(filter(_is_kept, schema.items()))
        ways = {
            **dict.fromkeys(_OF_NAMES, self._named),
            **dict.fromkeys(_LISTS, self._listed),
            **dict.fromkeys(_SINGLE, self.converted),
        }
        for key in filter(schema.__contains__, ways):
            own[key] = ways[key](schema[key], file)
        self._leave_out_hidden(own, schema, file)
        if not _is_usable(own.get("pattern", "")):
            del own["pattern"]
        return _modern(own, schema) if self.is_old else own

    def _named(self, schemas: Any, file: Path) -> dict[str, Any]:
        named = object_of(schemas).items()
        return {name: self.converted(schema, file) for name, schema in named}

    def _listed(self, schemas: Any, file: Path) -> list[Any]:
        return [self.converted(schema, file) for schema in array_of(schemas)]

    def _leave_out_hidden(
        self, own: dict[str, Any], schema: Mapping[str, Any], file: Path
    ) -> None:
        """Require no member that is not sent in this direction."""
        # Earlier versions have had a flag of this name.
        required = array_of(own.pop("required", None))
        hidden = set(self._hidden_in(schema, file))
        kept = list(filterfalse(hidden.__contains__, required))
        if kept:
            own["required"] = kept

    def _hidden_in(
        self, schema: Mapping[str, Any], file: Path, depth: int = 0
    ) -> Iterator[str]:
        """Name the members of an object, and of what it is all of, that are not sent in this direction."""
        for name, member in object_of(schema.get("properties")).items():
            described, _ = self.references.object_at(member, file)
            if described.get(self.hidden) is True:
                yield name
        parts = array_of(schema.get("allOf"))
        for part in islice(parts, _DEEPEST - depth):
            described, inside = self.references.object_at(part, file)
            yield from self._hidden_in(described, inside, depth + 1)


def _is_kept(member: tuple[str, Any]) -> bool:
    return member[0] in _KEPT


def _is_usable(pattern: Any) -> bool:
    """Tell whether a pattern can be checked in time proportional to the text; others are not checked."""
    try:
        compile_pattern(pattern)
    except (InvalidPattern, TypeError):
        return False
    return True


def _modern(own: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema of OpenAPI 3.0 as JSON Schema has it now."""
    _modern_limit(own, "minimum", "exclusiveMinimum")
    _modern_limit(own, "maximum", "exclusiveMaximum")
    if schema.get("nullable") is not True:
        return own
    kind = own.get("type")
    if isinstance(kind, str) and "enum" not in own:
        return {**own, "type": [kind, "null"]}
    return {"anyOf": [own, {"type": "null"}]}


def _modern_limit(own: dict[str, Any], limit: str, strict: str) -> None:
    """Let a limit that was said to be strict by a flag be one that is strict by its name."""
    flag = own.get(strict)
    if not isinstance(flag, bool):
        return
    del own[strict]
    if flag and limit in own:
        own[strict] = own.pop(limit)
