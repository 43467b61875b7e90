"""Texts as values: each is read by the type that is declared for it, and by no guess."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from openagents_json.engine.errors import NotOfType
from openagents_json.workflow.core.parameters import TYPES, is_of_type
from openagents_json.workflow.types import Json, quoted, type_name

ANY: Final = "any"
TEXT: Final = "string"
_TYPED: Final = frozenset(TYPES) - {ANY}

EXAMPLES: Final[Mapping[str, Sequence[str]]] = {
    "integer": ("3",),
    "number": ("1.5",),
    "boolean": ("true", "false"),
    "array": ('["a", "b"]',),
    "object": ('{"name": "value"}',),
    TEXT: ('"text"',),
}
"""What is proposed to who has written something else, as JSON."""

_TRUE: Final = ("true",)
_FALSE: Final = ("false",)
_TRUTH: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("true", "yes", "on", "y", "1"), _TRUE),
    **dict.fromkeys(("false", "no", "off", "n", "0"), _FALSE),
}
"""What is probably meant by words for true and false."""

_BEGINS_JSON: Final = re.compile(r'\s*(\{(?!\{)|\[|")')
"""How JSON begins that is no number and no word; two braces begin a template, as schedules take one: that is a text."""


def kind_of(declared: Any) -> str:
    """Return the type of a parameter; one that says none has that of its values, or of a text that it looks into."""
    parameter = _as_object(declared)
    kind = _named_kind(parameter.get("type"))
    if kind != ANY:
        return kind
    if "pattern" in parameter:
        return TEXT
    values = parameter.get("enum", ())
    return _kind_of_values(values)


def kind_of_schema(schema: Any) -> str:
    """Return the type of what fits a JSON Schema, `any` where it may have several."""
    parts = _as_object(schema)
    named = parts.get("type", ())
    if isinstance(named, str):
        return _named_kind(named)
    first, *others = [kind for kind in named if kind != "null"] or [None]
    if others:
        return ANY
    if first is not None:
        return _named_kind(first)
    constants = [parts["const"]] if "const" in parts else []
    values = parts.get("enum", constants)
    return _kind_of_values(values)


def kind_of_payload(schemas: Iterable[Any], text: str) -> str:
    """Return the type that a payload is read by: that of all schemas, if they have one in common.

    JSON of another type is for the run to refuse, which knows all of the schema.
    """
    kinds = set(map(kind_of_schema, schemas))
    first, *others = kinds or {ANY}
    kind = ANY if others else first
    return ANY if kind != TEXT and _is_json(text) else kind


def _is_json(text: str) -> bool:
    with suppress(ValueError):
        read_json(text)
        return True
    return False


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _named_kind(name: Any) -> str:
    """Return a type of that name, `any` where a later version knows more of them."""
    if name in _TYPED:
        return str(name)
    return ANY


def _kind_of_values(values: Sequence[Json]) -> str:
    """Return the type that all of some values have, if that is the one of texts."""
    types = set(map(type, values))
    return TEXT if types == {str} else ANY


def read_text(text: str, kind: str) -> Json:
    """Read a text as a value of a type; null stands for a value that is not there, except for a text.

    Of the type `any`, what is JSON is taken as JSON, and else as a text. Raises NotOfType.
    """
    read = _READERS.get(kind, _of_type)
    return read(text, kind)


def _as_it_is(text: str, _: str) -> str:
    return text


def _of_type(text: str, kind: str) -> Json:
    guess = _GUESSES.get(kind, _no_guess)
    proposals = guess(text) or EXAMPLES[kind]
    refusal = NotOfType(f"{quoted(text)} is none", proposals)
    try:
        value = read_json(text)
    except ValueError:
        raise refusal from None
    if not is_of_type_or_null(value, kind):
        raise refusal
    return value


def _whole(text: str, kind: str) -> Json:
    """Return an integer; 3.0 is one too."""
    value = _of_type(text, kind)
    if value is None:
        return None
    return int(value)


def _json_or_text(text: str, _: str) -> Json:
    """Return JSON, or a text that is meant as one; one that was perhaps meant as JSON is not guessed at.

    Raises NotOfType.
    """
    try:
        return read_json(text)
    except ValueError as error:
        reason = f"{quoted(text)} begins as JSON and is none ({error})"
    if _BEGINS_JSON.match(text):
        as_text = json.dumps(text, ensure_ascii=False)
        raise NotOfType(reason, [as_text])
    return text


def is_of_type_or_null(value: Json, kind: str) -> bool:
    """Tell whether a value is of a type; null stands for one that is not there."""
    return value is None or is_of_type(value, kind)


def check_type(value: Json, kind: str) -> None:
    """Refuse a value that is not of a type; null stands for one that is not there.

    Raises NotOfType, whose proposals are JSON.
    """
    if is_of_type_or_null(value, kind):
        return
    reason = f"{quoted(value)} is of type {type_name(value)}"
    raise NotOfType(reason, _as_json(value, kind))


def _as_json(value: Json, kind: str) -> Sequence[str]:
    """Return in JSON what was probably meant by a value of another type."""
    if kind == TEXT:
        text = json.dumps(value, ensure_ascii=False)
        return [json.dumps(text, ensure_ascii=False)]
    try:
        meant = read_text(str(value), kind)
    except NotOfType as error:
        return error.proposals
    return [json.dumps(meant, ensure_ascii=False)]


def read_json(text: str | bytes) -> Json:
    """Read JSON, strictly: what another reader would understand otherwise is refused.

    Raises ValueError.
    """
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(members: list[tuple[str, Json]]) -> dict[str, Json]:
    by_name: dict[str, Json] = {}
    for name, value in members:
        if name in by_name:
            raise ValueError(f"the name {name!r} stands twice in an object")
        by_name[name] = value
    return by_name


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large for a number")
    return number


def wrong(kind: str, error: NotOfType, spelled: Callable[[str], str]) -> str:
    """Say what is wrong with a value and what to write instead, `spelled` as the caller takes it."""
    proposals = " or ".join(map(spelled, error.proposals))
    if kind == ANY:
        return f"{error.reason}; write JSON, or for a text {proposals}"
    return f"must be of type {kind}, and {error.reason}; write {proposals}"


# -- guesses of what was meant, for messages only ----------------------------------------------------------


def _no_guess(_: str) -> Sequence[str]:
    return ()


def _truth(text: str) -> Sequence[str]:
    return _TRUTH.get(text.strip().lower(), ())


def _items(text: str) -> Sequence[str]:
    """Return a list in JSON for one with commas."""
    if not text or _BEGINS_JSON.match(text):
        return ()
    items = [item.strip() for item in text.split(",")]
    return [json.dumps(items, ensure_ascii=False)]


_GUESSES: Final[Mapping[str, Callable[[str], Sequence[str]]]] = {
    "boolean": _truth,
    "array": _items,
}

_READERS: Final[Mapping[str, Callable[[str, str], Json]]] = {
    TEXT: _as_it_is,
    ANY: _json_or_text,
    "integer": _whole,
}
