"""What is kept of where an exception came from: source lines and causes, without secrets, and not too much."""

from __future__ import annotations

import json

from openagents_json.components.errors import describe_error
from openagents_json.components.traces import MAX_TRACEBACK


def fails(secret: str) -> None:
    try:
        json.loads("{")
    except ValueError as error:
        raise RuntimeError(f"unreadable {secret}") from error


def deep(levels: int) -> None:
    if levels:
        deep(levels - 1)
    raise ValueError("x" * 3000)


def described(call: object, *arguments: object) -> str:
    try:
        call(*arguments)  # type: ignore[operator]
    except BaseException as error:
        return str(
            describe_error(error, lambda text: text.replace("hidden", "***"))[
                "traceback"
            ]
        )
    raise AssertionError("it did not fail")


def test_a_traceback_has_source_lines_and_the_cause() -> None:
    trace = described(fails, "hidden")
    assert 'raise RuntimeError(f"unreadable {secret}") from error' in trace
    own, cause = trace.split("caused by ")
    assert "in fails" in own
    assert cause.startswith("JSONDecodeError\n")
    assert "Expecting property name" not in cause  # a message may quote values
    assert 'json.loads("{")' in cause


def test_a_traceback_is_bounded_and_keeps_where_it_happened() -> None:
    trace = described(deep, 300)
    assert len(trace) <= MAX_TRACEBACK
    assert trace.endswith('raise ValueError("x" * 3000)')


def chained(levels: int) -> None:
    try:
        if levels:
            chained(levels - 1)
        raise KeyError("hidden first")
    except Exception:
        raise ValueError("hidden " + "y" * 5000)  # noqa: B904 - the cause is implied here


def test_causes_are_masked_few_and_bounded() -> None:
    trace = described(chained, 40)
    assert len(trace) <= MAX_TRACEBACK
    assert "hidden y" not in trace
    assert "caused by ValueError\n" in trace
    assert "in chained" in trace.split("caused by")[0]


def test_a_circle_of_causes_ends() -> None:
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one

    def raises() -> None:
        raise one

    assert described(raises).count("caused by") == 1


def test_a_cause_that_is_denied_is_left_out() -> None:
    def raises() -> None:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second") from None

    assert "caused by" not in described(raises)
