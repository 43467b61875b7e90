"""Whether a value surely fits a schema, told without saying why not: nearly all steps fit theirs, and there are many.

A rule that is not known here is taken as one that no value fits; what does not surely fit is looked at in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sized
from functools import partial
from typing import Any, Final

Accepts = Callable[[Any], bool]

_KINDS: Final[Mapping[str, Accepts]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: _is_number(value),
}
_PASSED_OVER: Final = frozenset({"$defs", "deprecated"})


def accepting(schema: Any, definitions: Mapping[str, Any]) -> Accepts:
    """Return a function that tells of a value whether it surely fits a schema."""
    if isinstance(schema, bool):
        return lambda _: schema
    rules = [*_rules(schema, definitions)]
    if len(rules) == 1:
        return rules[0]
    return lambda value: all(accepts(value) for accepts in rules)


def _rules(
    schema: Mapping[str, Any], definitions: Mapping[str, Any]
) -> Iterator[Accepts]:
    for keyword, rule in schema.items():
        if keyword in _TELLING:
            yield _TELLING[keyword](rule)
        elif keyword in ("properties", "additionalProperties"):
            yield _members(schema, definitions)
        elif keyword == "items":
            yield partial(_all_fit, accepting(rule, definitions))
        elif keyword == "anyOf":
            choices = [accepting(choice, definitions) for choice in rule]
            yield partial(_any_fits, choices)
        elif keyword == "$ref":
            yield _referred(str(rule).rpartition("/")[2], definitions)
        elif keyword not in _PASSED_OVER:
            yield lambda _: False


def _referred(name: str, definitions: Mapping[str, Any]) -> Accepts:
    """Return what tells it of a definition, which is put together when it is asked for: it may refer to itself."""
    kept: list[Accepts] = []

    def accepts(value: Any) -> bool:
        if not kept:
            kept.append(accepting(definitions[name], definitions))
        return kept[0](value)

    return accepts


def _members(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Accepts:
    """Return what tells it of the members of an object."""
    named = {
        name: accepting(rule, definitions)
        for name, rule in schema.get("properties", {}).items()
    }
    other = accepting(schema.get("additionalProperties", True), definitions)

    def accepts(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        return all(named.get(name, other)(member) for name, member in value.items())

    return accepts


def _all_fit(accepts: Accepts, value: Any) -> bool:
    return not isinstance(value, list) or all(map(accepts, value))


def _any_fits(choices: list[Accepts], value: Any) -> bool:
    return any(accepts(value) for accepts in choices)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_kind(kinds: str | list[str]) -> Accepts:
    tests = [_KINDS[kind] for kind in ([kinds] if isinstance(kinds, str) else kinds)]
    if len(tests) == 1:
        return tests[0]
    return lambda value: any(test(value) for test in tests)


def _enum(allowed: list[Any]) -> Accepts:
    texts = frozenset(filter(_KINDS["string"], allowed))
    return lambda value: isinstance(value, str) and value in texts


def _required(names: list[str]) -> Accepts:
    return lambda value: (
        not isinstance(value, dict) or all(name in value for name in names)
    )


def _pattern(pattern: str) -> Accepts:
    # As JSON Schema means it: `$` is the end of the text, in Python also the place before a last line feed.
    matcher = re.compile(re.sub(r"\$\Z", r"\\Z", pattern))
    return lambda value: not isinstance(value, str) or matcher.search(value) is not None


def _sized(
    kind: type[Sized], is_enough: Callable[[int, int], bool], bound: int
) -> Accepts:
    return lambda value: not isinstance(value, kind) or is_enough(len(value), bound)


def _numbered(is_within: Callable[[float, float], bool], bound: float) -> Accepts:
    return lambda value: not _is_number(value) or is_within(value, bound)


_TELLING: Final[Mapping[str, Callable[[Any], Accepts]]] = {
    "type": _of_kind,
    "enum": _enum,
    "required": _required,
    "pattern": _pattern,
    "minLength": partial(_sized, str, int.__ge__),
    "maxLength": partial(_sized, str, int.__le__),
    "minItems": partial(_sized, list, int.__ge__),
    "maxItems": partial(_sized, list, int.__le__),
    "minProperties": partial(_sized, dict, int.__ge__),
    "minimum": partial(_numbered, lambda value, bound: value >= bound),
    "maximum": partial(_numbered, lambda value, bound: value <= bound),
    "exclusiveMinimum": partial(_numbered, lambda value, bound: value > bound),
}
