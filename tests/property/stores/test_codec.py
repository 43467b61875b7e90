"""Canonical JSON: one form for each value, and back again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as s

from eventstore import codec
from eventstore.errors import NotJson

JSON = s.recursive(
    s.none()
    | s.booleans()
    | s.integers()
    | s.floats(allow_nan=False, allow_infinity=False)
    | s.text(),
    lambda inner: (
        s.lists(inner, max_size=4)
        | s.dictionaries(s.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_what_is_encoded_is_decoded_the_same(value: Any) -> None:
    raw = codec.encode(value)
    assert repr(codec.decode(raw)) == repr(
        json.loads(json.dumps(value, sort_keys=True))
    )
    assert codec.encode(codec.decode(raw)) == raw


@given(s.dictionaries(s.text(max_size=5), JSON))
def test_the_order_of_names_does_not_matter(value: dict[str, Any]) -> None:
    assert codec.encode(dict(reversed(value.items()))) == codec.encode(value)


@given(JSON)
def test_tuples_become_lists_and_the_rest_stays(value: Any) -> None:
    assert codec.normalise((value, {"k": (value,)})) == [value, {"k": [value]}]


class Odd:
    """Something that is not JSON."""


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "odd",
    [Odd(), float("nan"), float("inf"), {1: 2}, {None: 1}, {1, 2}, b"x", circle(), 1j],
)
def test_what_is_not_json_is_refused_with_its_place(odd: Any) -> None:
    with pytest.raises(NotJson, match=r"^a\[1\]\.b"):
        codec.normalise({"a": [1, {"b": odd}]})
