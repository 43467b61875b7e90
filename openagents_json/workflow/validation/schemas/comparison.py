"""Whether values of one JSON Schema are valid under another: three answers, the first two of which are sure.

- CANNOT_FIT: no value that is valid under the first is valid under the second, but for null: it says that there is
  nothing, and to what need not be given that is welcome, whatever it is.
- MAY_NOT_FIT: some value that is valid under the first is not valid under the second; an example is given.
- UNKNOWN: neither was found, as all values fit, or as a schema says something that is not understood here.

As JSON Schema has it, `format` says nothing of what is valid.
"""

from __future__ import annotations

import json
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from openagents_json.workflow.errors import OverBound
from openagents_json.workflow.expressions.budget import Budget
from openagents_json.workflow.expressions.payload_schema import fits
from openagents_json.workflow.types import Json
from openagents_json.workflow.validation.schemas.contradictions import (
    Effort,
    Schema,
    is_contradiction,
    refuses,
)
from openagents_json.workflow.validation.schemas.samples import samples_of

_WORK: Final = 5_000
"""How many comparisons of rules are made at most for two schemas."""


class Fit(StrEnum):
    """How the values of one schema fit another."""

    CANNOT_FIT = "cannot_fit"
    MAY_NOT_FIT = "may_not_fit"
    UNKNOWN = "unknown"


class Comparison(NamedTuple):
    """An answer; `example` is a value that is refused, where some may be."""

    fit: Fit
    example: Json = None


_NOT_NULL: Final = {
    "type": ["array", "boolean", "integer", "number", "object", "string"]
}

_UNKNOWN: Final = Comparison(Fit.UNKNOWN)
_CANNOT_FIT: Final = Comparison(Fit.CANNOT_FIT)


def compare(given: Schema, taken: Schema, *, is_sure: bool = False) -> Comparison:
    """Find out whether values of a schema fit another; with `is_sure`, only whether none of them does."""
    if is_open(given) or is_open(taken) or given == taken:
        return _UNKNOWN
    if given.keys() == {"const"}:
        # Most values of documents are such: there is nothing to try, and nothing to keep of each.
        return _CANNOT_FIT if refuses(taken, given["const"]) else _UNKNOWN
    try:
        return _compare_texts(json.dumps(given), json.dumps(taken), is_sure)
    except (TypeError, ValueError, RecursionError):
        return _UNKNOWN  # one of them is no JSON


def cannot_fit(given: Schema, taken: Schema) -> bool:
    """Tell whether surely no value of a schema fits another."""
    return compare(given, taken, is_sure=True).fit is Fit.CANNOT_FIT


def is_open(schema: Schema) -> bool:
    """Tell whether a schema allows anything, or is none."""
    return not isinstance(schema, dict) or not schema


@lru_cache(maxsize=4096)
def _compare_texts(given: str, taken: str, is_sure: bool) -> Comparison:
    """Compare once what many steps have alike."""
    return _compare(json.loads(given), json.loads(taken), is_sure=is_sure)


def _compare(given: Schema, taken: Schema, *, is_sure: bool) -> Comparison:
    effort = Effort(Budget(_WORK))
    try:
        if is_contradiction([given], effort):
            return _UNKNOWN  # what can never be there says nothing of what it would be
        if is_contradiction([given, taken], effort):
            return _CANNOT_FIT
        something = [given, _NOT_NULL]
        if not is_contradiction(something, effort) and is_contradiction(
            [*something, taken], effort
        ):
            return _CANNOT_FIT
        samples = [] if is_sure else samples_of(given)
    except (OverBound, TypeError, ValueError, LookupError, AttributeError):
        return _UNKNOWN  # one of them is no schema
    for sample in samples:
        if refuses(taken, sample) and fits(given, sample):
            return Comparison(Fit.MAY_NOT_FIT, sample)
    return _UNKNOWN
