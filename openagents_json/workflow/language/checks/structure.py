"""The shape of a document by its JSON Schema: what it says itself, then each of its steps and connections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from openagents_json.workflow.errors import InvalidPattern
from openagents_json.workflow.expressions.patterns import compile_pattern
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.accepting import Accepts, accepting
from openagents_json.workflow.language.checks.keys import ITEMS
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.language.problems import Collector, Nearest
from openagents_json.workflow.language.schema import SCHEMA, without_notes
from openagents_json.workflow.types import in_order, type_name

if TYPE_CHECKING:
    from jsonschema import ValidationError

_DOCUMENT = "document"


def check_structure(document: Any, collector: Collector) -> None:
    """Find out whether a document, and each of its items, has the shape that it ought to have."""
    check_document_structure(document, collector)
    for name in ITEMS:
        for index, item in enumerate(array_of(object_of(document).get(name))):
            check_item_structure(item, name, f"/{name}/{index}", collector)


def check_document_structure(document: Any, collector: Collector) -> None:
    """Look at the shape of a document without its steps and connections."""
    if isinstance(document, Mapping):
        document = _without_items(document)
    plain = in_order(document)
    _collect(_validators()[_DOCUMENT].iter_errors(plain), "", collector)
    for section in ("inputs", "outputs"):
        for name, spec in object_of(object_of(plain).get(section)).items():
            pointer = f"/{section}/{escape(name)}/pattern"
            _check_pattern(object_of(spec), pointer, collector)


def check_item_structure(
    item: Any, name: str, pointer: str, collector: Collector
) -> None:
    """Look at the shape of one of the steps, or of the connections, of a document."""
    if _accepting()[name](item):
        return
    validator = _validators()[name]
    if next(validator.iter_errors(item), None) is None:
        return
    # What is quoted of a value is alike in every form of it.
    _collect(validator.iter_errors(in_order(item)), pointer, collector)


def _without_items(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document without its items; whether there are any is part of its shape."""
    rest = dict(document)
    for name in ITEMS:
        items = rest.get(name)
        if isinstance(items, list | tuple):
            rest[name] = [None] if items else []
    return rest


@lru_cache(maxsize=1)
def _accepting() -> Mapping[str, Accepts]:
    """Return what tells of an item whether it surely has the right shape."""
    schemas = _schemas()
    return {name: accepting(schemas[name], schemas[name]["$defs"]) for name in ITEMS}


@lru_cache(maxsize=1)
def _validators() -> Mapping[str, Any]:
    from jsonschema import (
        Draft202012Validator,
    )  # imported when the first document is validated: it takes its time
    from jsonschema.validators import extend

    make: Any = extend
    strict = make(Draft202012Validator, {"pattern": _pattern})
    return {name: strict(schema) for name, schema in _schemas().items()}


def _schemas() -> dict[str, Any]:
    """Return the schema of a document without items, and those of its items."""
    rules = without_notes(SCHEMA)
    parts = {}
    properties = dict(rules["properties"])
    for name in ITEMS:
        array = dict(properties[name])
        parts[name] = _inlined(array.pop("items"), rules["$defs"])
        properties[name] = array
    return {**parts, _DOCUMENT: {**rules, "properties": properties}}


def _inlined(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Any:
    """Return a schema with what it refers to in its place: it is asked for each item."""
    rules = dict(schema)
    while "$ref" in rules:
        target = definitions[str(rules.pop("$ref")).rpartition("/")[2]]
        rules = {**target, **rules}
    return {**rules, "$defs": definitions}


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Match as JSON Schema means it: `$` is the end of the text, in Python also the place before a last line feed."""
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(
        re.sub(r"\$\Z", r"\\Z", pattern), instance
    ):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _check_pattern(spec: Mapping[str, Any], pointer: str, collector: Collector) -> None:
    if isinstance(pattern := spec.get("pattern"), str):
        try:
            compile_pattern(pattern)
        except InvalidPattern as error:
            collector.error(
                "invalid_pattern",
                pointer,
                f"{pattern!r} is not a regular expression: {error}",
                found=pattern,
            )


def _collect(errors: Iterator[Any], base: str, collector: Collector) -> None:
    for error in errors:
        path = "".join(f"/{escape(str(key))}" for key in error.absolute_path)
        message = (
            error.message if len(error.message) < 300 else error.message[:297] + "..."
        )
        rule = error.validator_value
        is_word = error.validator == "enum" and isinstance(error.instance, str)
        collector.error(
            f"schema_error.{error.validator}",
            base + path,
            message,
            found=type_name(error.instance),
            expected=rule if isinstance(rule, str | list | int | float) else None,
            near=Nearest(error.instance, rule) if is_word else None,
        )
