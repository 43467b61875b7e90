"""Edges to a step that cannot be alive together, as their conditions exclude each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from openagents_json.workflow.errors import ExpressionError
from openagents_json.workflow.expressions.grammar import Expression
from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.language.graph import DocumentEdge
from openagents_json.workflow.validation.constants import parts_of_condition, texts_of

_INPUTS: Final = frozenset({"input", "inputs"})
"""What has one value for the whole run: all conditions see the same."""

_SUBJECT: Final = r"(?P<subject>[\w.\[\]'\"-]+)"
_NUMBER: Final = r"(?P<number>-?\d{1,15}(?:\.\d{1,15})?)"
_HOLDS: Final = frozenset({"holds"})
"""What is asked of a subject that is a condition itself."""

_OPPOSITES: Final[Mapping[str, str]] = {"<=": ">", "<": ">="}
"""Comparisons that hold where another one does not."""


class Asked(NamedTuple):
    """What a part of a condition asks of a subject: to be one of some words, or none of them."""

    subject: str
    words: frozenset[str]
    is_none_of: bool

    def takes(self, word: str) -> bool:
        """Tell whether a word is taken; "" stands for any that nothing names."""
        return (word in self.words) is not self.is_none_of


def most_together(edges: Iterable[DocumentEdge], conditions: Mapping[str, Any]) -> int:
    """Return how many edges may be alive together at most; `conditions` are those of steps that may be skipped."""
    asked = [_asked_of(edge, conditions) for edge in edges]
    subjects = {part.subject for part in chain(*asked)}
    counts = [_most_by_subject(subject, asked) for subject in subjects]
    return min(counts, default=len(asked))


def _most_by_subject(subject: str, edges: Iterable[Sequence[Asked]]) -> int:
    """Return how many edges take the same value of a subject at most."""
    asked = [[part for part in edge if part.subject == subject] for edge in edges]
    words = {""}.union(*(part.words for part in chain(*asked)))
    counts = (sum(_all_take(word, parts) for parts in asked) for word in words)
    return max(counts)


def _all_take(word: str, parts: Iterable[Asked]) -> bool:
    return all(part.takes(word) for part in parts)


def _asked_of(edge: DocumentEdge, conditions: Mapping[str, Any]) -> Sequence[Asked]:
    """Return what has to hold for an edge to be alive: its condition, and that of the step it comes from."""
    own = object_of(edge.connection).get("condition")
    of_source = conditions.get(edge.source)
    return [*asked_by(own), *asked_by(of_source)]


def asked_by(condition: Any) -> list[Asked]:
    """Return what a condition asks of what has one value for the whole run."""
    parts = parts_of_condition(condition)
    return [*map(_asked, filter(_is_lasting, parts))]


def _is_lasting(part: str) -> bool:
    """Tell whether a part of a condition refers to nothing but inputs."""
    try:
        names = frozenset(Expression(part).names)
    except ExpressionError:
        return False
    return bool(names) and names <= _INPUTS


def _asked(part: str) -> Asked:
    compared = texts_of(part)
    if compared is not None:
        return Asked(compared.subject, compared.texts, compared.is_none_of)
    text = re.sub(r"\binputs\.", "input.", part)
    matches = ((form.fullmatch(text), read) for form, read in _FORMS)
    return next(read(match) for match, read in matches if match is not None)


def _equal(match: re.Match[str]) -> Asked:
    number = float(match["number"])
    subject = f"the number {match['subject']}"
    return Asked(subject, frozenset({str(number)}), match["operator"] == "!=")


def _ordered(match: re.Match[str]) -> Asked:
    written = match["operator"]
    operator = _OPPOSITES.get(written, written)
    subject = f"{match['subject']} {operator} {float(match['number'])}"
    return Asked(subject, _HOLDS, written in _OPPOSITES)


def _denied(match: re.Match[str]) -> Asked:
    return Asked(match["subject"], _HOLDS, is_none_of=True)


def _whole(match: re.Match[str]) -> Asked:
    return Asked(match[0], _HOLDS, is_none_of=False)


_FORMS: Final[Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], Asked]]]] = (
    (re.compile(rf"{_SUBJECT}\s*(?P<operator>[=!]=)\s*{_NUMBER}"), _equal),
    (re.compile(rf"{_SUBJECT}\s*(?P<operator>[<>]=?)\s*{_NUMBER}"), _ordered),
    (re.compile(rf"not\s+{_SUBJECT}"), _denied),
    (re.compile(r".*", re.DOTALL), _whole),
)
"""The forms of parts of conditions, and how each is read; the last one is every other."""
