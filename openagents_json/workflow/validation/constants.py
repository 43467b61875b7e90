"""What a condition is whatever the run does, where that can be told without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from functools import lru_cache
from itertools import filterfalse, repeat
from math import inf
from operator import attrgetter
from typing import Any, Final, NamedTuple

from openagents_json.statuses import ENDS, OPEN_STEP
from openagents_json.workflow.core.evaluate import truth
from openagents_json.workflow.errors import ExpressionError, ExpressionFailed
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.grammar import Expression
from openagents_json.workflow.expressions.pieces import split
from openagents_json.workflow.language.checks.shapes import array_of, object_of
from openagents_json.workflow.validation.schemas.contradictions import bound

_OPERATIONS: Final = 10_000
_QUOTED: Final = r"""(?:'[^'\\]*'|"[^"\\]*")"""
_SUBJECT: Final = (
    r"(?P<subject>inputs?\.(?P<input>\w+)|(?:steps\.)?(?P<step>[\w-]+)\.status)"
)
_NUMBER: Final = r"(?P<number>-?\d{1,15}(?:\.\d{1,15})?)"
_COMPARED: Final = r"\s*(?P<operator>[=!]=)\s*"
_LISTED: Final = rf"\[(?P<texts>{_QUOTED}(?:\s*,\s*{_QUOTED})*)\]"
_IN_TEXTS: Final = (
    re.compile(rf"{_SUBJECT}{_COMPARED}(?P<texts>{_QUOTED})"),
    re.compile(rf"(?P<texts>{_QUOTED}){_COMPARED}{_SUBJECT}"),
    re.compile(rf"{_SUBJECT}\s+(?P<operator>in|not\s+in)\s+{_LISTED}"),
)
"""Comparisons of an input, or of a fact of a step, with some texts."""

_OF_NUMBERS: Final = re.compile(
    rf"inputs?\.(?P<input>\w+)\s*(?P<operator>[=!]=|[<>]=?)\s*{_NUMBER}"
)
_NO_PARTS: Final = re.compile(r"[()]|\b(?:or|if|else)\b")
"""What makes an expression more than parts that all have to hold."""

_AND: Final = re.compile(r"\sand\s")

STATUSES: Final = OPEN_STEP | {*ENDS, "skipped"}
"""What the status of a step can be."""

_NO_TEXTS: Final = frozenset({"integer", "number", "boolean", "array", "object"})


def is_never_true(condition: Any, inputs: Mapping[str, Any], steps: Set[str]) -> bool:
    """Tell whether a condition surely never holds; `inputs` and `steps` are those that the document declares."""
    if condition is False:
        return True
    if not isinstance(condition, str):
        return False
    source = _source_of(condition)
    parts = parts_of_condition(condition)
    in_vain = (_compares_in_vain(part, inputs, steps) for part in parts)
    return not truth(_value_of(source)) or any(in_vain) or _contradict(parts)


def parts_of_condition(condition: Any) -> tuple[str, ...]:
    """Return the parts of a condition that all have to hold; one that is no text has none."""
    return _parts_of(_source_of(condition)) if isinstance(condition, str) else ()


def is_empty(items: Any) -> bool:
    """Tell whether a foreach surely has no items."""
    value = _value_of(_source_of(items)) if isinstance(items, str) else items
    return value in ([], {}, ())


@lru_cache(maxsize=1024)
def _parts_of(source: str) -> tuple[str, ...]:
    """Return the parts of an expression that all have to hold; where that is not sure, the whole."""
    # A quoted text with such a word in it leaves the whole as it is, or makes parts that no form below fits.
    parts = [source] if _NO_PARTS.search(source) else _AND.split(source)
    return tuple(map(str.strip, parts))


def _source_of(condition: str) -> str:
    """Return the one expression that a condition is, "true" for any other text."""
    try:
        pieces = [*split(condition)]
    except ExpressionError:
        return "true"
    if len(pieces) > 1:
        return "true"
    return pieces[0][1].strip()


@lru_cache(maxsize=1024)
def _value_of(source: str) -> Any:
    """Return the value of an expression that refers to nothing; true for any other."""
    try:
        expression = Expression(source)
        if expression.names:
            return True
        return expression.evaluate(_nothing, budget=Budget(_OPERATIONS))
    except (ExpressionError, ExpressionFailed):
        return True


def _nothing(_: str) -> None:
    return None


class _Texts(NamedTuple):
    """A comparison: what is compared, and the texts of which it has to be one, or that `is_none_of`."""

    subject: str
    input: str | None
    step: str | None
    texts: frozenset[str]
    is_none_of: bool


@lru_cache(maxsize=4096)
def texts_of(part: str) -> _Texts | None:
    """Return what a part of a condition compares with texts, None where it is something else."""
    matches = map(re.Pattern.fullmatch, _IN_TEXTS, repeat(part))
    match: re.Match[str] | None = next(filter(None, matches), None)
    if match is None:
        return None
    quoted = re.findall(_QUOTED, match["texts"])
    texts = frozenset(text[1:-1] for text in quoted)
    subject = match["subject"].replace("inputs.", "input.")
    is_none_of = match["operator"] not in ("==", "in")
    return _Texts(subject, match["input"], match["step"], texts, is_none_of)


def _contradict(parts: tuple[str, ...]) -> bool:
    """Tell whether some parts ask for different texts of the same."""
    compared = [*filter(None, map(texts_of, parts))]
    possible: dict[str, frozenset[str]] = {}
    for one in filterfalse(attrgetter("is_none_of"), compared):
        before = possible.get(one.subject, one.texts)
        possible[one.subject] = before & one.texts
    for other in filter(attrgetter("is_none_of"), compared):
        if other.subject in possible:
            possible[other.subject] -= other.texts
    return not all(possible.values())


def _compares_in_vain(part: str, inputs: Mapping[str, Any], steps: Set[str]) -> bool:
    """Tell whether a part is a comparison with what the other side never is."""
    compared = texts_of(part)
    if compared is None:
        return _is_beyond_bounds(part, inputs)
    if compared.input is None:
        is_status = compared.step in steps and not compared.is_none_of
        return is_status and compared.texts.isdisjoint(STATUSES)
    declared = object_of(inputs.get(compared.input))
    choices = array_of(declared.get("enum"))
    if compared.is_none_of:
        # What need not be given may be null, which differs from every text.
        is_one_of_them = map([*compared.texts].__contains__, choices)
        return bool(choices and declared.get("required") and all(is_one_of_them))
    some = [*filter(choices.__contains__, compared.texts)]
    return declared.get("type") in _NO_TEXTS or bool(choices and not some)


def _is_beyond_bounds(part: str, inputs: Mapping[str, Any]) -> bool:
    """Tell whether a part compares an input with a number that its bounds leave out."""
    match = _OF_NUMBERS.fullmatch(part)
    if match is None:
        return False
    declared = object_of(inputs.get(match["input"]))
    least = bound(declared, "minimum", -inf)
    most = bound(declared, "maximum", inf)
    if match["operator"] == "!=" and declared.get("required") is not True:
        return False
    is_outside = _OUTSIDE[match["operator"]]
    return is_outside(float(match["number"]), least, most)


_OUTSIDE: Final[Mapping[str, Callable[[float, float, float], bool]]] = {
    "==": lambda number, least, most: not least <= number <= most,
    "!=": lambda number, least, most: least == number == most,
    ">": lambda number, _, most: most <= number,
    ">=": lambda number, _, most: most < number,
    "<": lambda number, least, _: least >= number,
    "<=": lambda number, least, _: least > number,
}
"""Whether no number within bounds compares so with a number."""
