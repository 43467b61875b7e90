"""What a condition is whatever the run does, where that can be told without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from functools import lru_cache
from itertools import repeat
from math import inf
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
_IN_TEXTS: Final = (
    re.compile(rf"{_SUBJECT}\s*==\s*(?P<texts>{_QUOTED})"),
    re.compile(rf"(?P<texts>{_QUOTED})\s*==\s*{_SUBJECT}"),
    re.compile(rf"{_SUBJECT}\s+in\s+\[(?P<texts>{_QUOTED}(?:\s*,\s*{_QUOTED})*)\]"),
)
"""Comparisons of an input, or of a fact of a step, with one of some texts."""

_OF_NUMBERS: Final = re.compile(
    rf"inputs?\.(?P<input>\w+)\s*(?P<operator>==|[<>]=?)\s*{_NUMBER}"
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
    parts = _parts_of(source)
    in_vain = (_compares_in_vain(part, inputs, steps) for part in parts)
    return _is_false(source) or any(in_vain) or _contradict(parts)


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
def _is_false(source: str) -> bool:
    """Tell whether an expression that refers to nothing does not hold."""
    try:
        expression = Expression(source)
        if expression.names:
            return False
        value = expression.evaluate(_nothing, budget=Budget(_OPERATIONS))
    except (ExpressionError, ExpressionFailed):
        return False
    return not truth(value)


def _nothing(_: str) -> None:
    return None


class _Texts(NamedTuple):
    """A comparison: what is compared, and the texts of which it has to be one."""

    subject: str
    input: str | None
    step: str | None
    texts: frozenset[str]


@lru_cache(maxsize=4096)
def _texts_of(part: str) -> _Texts | None:
    matches = map(re.Pattern.fullmatch, _IN_TEXTS, repeat(part))
    match: re.Match[str] | None = next(filter(None, matches), None)
    if match is None:
        return None
    quoted = re.findall(_QUOTED, match["texts"])
    texts = frozenset(text[1:-1] for text in quoted)
    return _Texts(match["subject"], match["input"], match["step"], texts)


def _contradict(parts: tuple[str, ...]) -> bool:
    """Tell whether some parts ask for different texts of the same."""
    possible: dict[str, frozenset[str]] = {}
    for compared in filter(None, map(_texts_of, parts)):
        subject = compared.subject.replace("inputs.", "input.")
        before = possible.get(subject, compared.texts)
        possible[subject] = before & compared.texts
    return not all(possible.values())


def _compares_in_vain(part: str, inputs: Mapping[str, Any], steps: Set[str]) -> bool:
    """Tell whether a part is a comparison with what the other side never is."""
    compared = _texts_of(part)
    if compared is None:
        return _is_beyond_bounds(part, inputs)
    if compared.input is None:
        return compared.step in steps and compared.texts.isdisjoint(STATUSES)
    declared = object_of(inputs.get(compared.input))
    choices = array_of(declared.get("enum"))
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
    is_outside = _OUTSIDE[match["operator"]]
    return is_outside(float(match["number"]), least, most)


_OUTSIDE: Final[Mapping[str, Callable[[float, float, float], bool]]] = {
    "==": lambda number, least, most: not least <= number <= most,
    ">": lambda number, _, most: most <= number,
    ">=": lambda number, _, most: most < number,
    "<": lambda number, least, _: least >= number,
    "<=": lambda number, least, _: least > number,
}
"""Whether no number within bounds compares so with a number."""
