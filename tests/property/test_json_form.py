"""What is on the log has one form, whichever of two libraries has written it, and both read the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as s

from eventstore import codec
from eventstore.errors import NotJson

TEXTS = s.text() | s.text(s.characters(categories=["Cs", "Lu"]), max_size=3)
NUMBERS = (
    s.integers()
    | s.integers(-(2**70), 2**70)
    | s.floats(allow_nan=False, allow_infinity=False)
    | s.sampled_from([1e-4, 9.99e-5, 1e16, 9999999999999998.0, -0.0, 1e22, 1e-7])
)
VALUES = s.recursive(
    s.none() | s.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        s.lists(inner, max_size=4)
        | s.dictionaries(TEXTS, inner, max_size=4)
        | s.tuples(inner, inner)
    ),
)


def by_the_standard(value: Any) -> bytes:
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode("utf-8", "surrogatepass")


@given(VALUES)
@example({"b": [1.5, 2], "a": {"\U0001f600": 1, "\uffff": 2}})
@example({"half": "\ud800", "small": 1e-7})
def test_values_are_written_and_read_as_the_standard_library_does(value: Any) -> None:
    raw = codec.encode(value)
    assert raw == by_the_standard(value)
    assert repr(codec.decode(raw)) == repr(
        json.loads(by_the_standard(value).decode("utf-8", "surrogatepass"))
    )


@pytest.mark.parametrize(
    "value",
    [
        {"x": {1, 2}},
        {"x": b"bytes"},
        {"x": float("nan")},
        {"x": [float("inf")]},
        {"x": json.JSONDecodeError},
    ],
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(NotJson):
        codec.encode(value)


@pytest.mark.parametrize("raw", [b" 1", b"1 ", b"[1]x", b"[1,]", b'"\x01"', b""])
def test_what_is_not_in_that_form_is_not_read(raw: bytes) -> None:
    with pytest.raises(ValueError):
        codec.decode(raw)
