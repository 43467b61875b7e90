"""Waits of retries: as tenacity computes them, bounded, and the same in every replay."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as s
from tenacity import RetryCallState, Retrying, wait_exponential

from openagents_json.components.errors import RetryableError, describe_error
from openagents_json.workflow.core.retry import (
    DAY_MS,
    MAX_DELAY_MS,
    RetryPolicy,
    asked_delay,
    next_delay,
)
from openagents_json.workflow.language.compile import compile_plan

POLICIES = s.builds(
    RetryPolicy,
    max_retries=s.integers(0, 50),
    delay_ms=s.integers(0, 10**7),
    multiplier=s.floats(1, 1e6),
    max_delay_ms=s.none() | s.integers(0, 10**9),
    jitter=s.booleans() | s.floats(0, 1),
    retry_on=s.lists(s.sampled_from(["A", "B"])).map(tuple),
    no_retry_on=s.lists(s.sampled_from(["B", "C"])).map(tuple),
    max_retry_after_ms=s.just(DAY_MS) | s.integers(0, 10**12),
    max_elapsed_ms=s.none() | s.integers(0, 10**9),
)


@given(POLICIES, s.integers(1, 60), s.sampled_from(["A", "B", "C"]), s.text(max_size=5))
def test_a_wait_is_bounded_and_depends_on_its_arguments_alone(
    policy: RetryPolicy, failures: int, error: str, seed: str
) -> None:
    delay = next_delay(policy, failures, error, seed)
    assert delay == next_delay(policy, failures, error, seed)
    given_up = failures > policy.max_retries or error in policy.no_retry_on
    assert (delay is None) == (
        given_up or bool(policy.retry_on and error not in policy.retry_on)
    )
    if delay is not None:
        assert (
            0
            <= delay
            <= min(
                MAX_DELAY_MS,
                MAX_DELAY_MS if policy.max_delay_ms is None else policy.max_delay_ms,
            )
        )


@given(s.integers(1, 10**5), s.floats(1, 10), s.integers(1, 12), s.integers(1, 10**8))
def test_without_jitter_it_is_the_wait_of_tenacity(
    delay_ms: int, factor: float, failures: int, most: int
) -> None:
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = failures
    expected = wait_exponential(multiplier=delay_ms, exp_base=factor, max=most)(state)
    policy = RetryPolicy(
        max_retries=99, delay_ms=delay_ms, multiplier=factor, max_delay_ms=most
    )
    delay = next_delay(policy, failures, "E", "")
    assert delay is not None
    assert abs(delay - expected) <= 1


@given(
    POLICIES,
    s.integers(0, MAX_DELAY_MS),
    s.integers() | s.none() | s.text() | s.booleans(),
)
def test_what_an_error_asks_for_is_bounded(
    policy: RetryPolicy, delay_ms: int, asked: object
) -> None:
    asked_for = asked_delay(policy, delay_ms, asked)
    assert (
        delay_ms
        <= asked_for
        <= max(delay_ms, min(policy.max_retry_after_ms, MAX_DELAY_MS))
    )
    if type(asked) is int and delay_ms <= asked <= min(
        policy.max_retry_after_ms, MAX_DELAY_MS
    ):
        assert asked_for == asked


def test_a_document_says_how_long_an_error_may_ask_for() -> None:
    def wait(**more: object) -> int:
        step = {"id": "a", "component": "c", "retry": {"delay_seconds": 1, **more}}
        plan = compile_plan(
            {"document": {"id": "w", "steps": [step]}, "bindings": {"a": {}}}
        )
        return asked_delay(plan.of("a").retry, 1000, 10**15)

    assert wait() == DAY_MS
    assert wait(max_retry_after_seconds=30) == 30_000
    assert wait(max_retry_after_seconds=0) == 1000


def test_seconds_to_wait_may_come_from_anywhere() -> None:
    nothing: list[Any] = [float("nan"), -1, "soon", "", None]
    most: list[Any] = [float("inf"), 10**300, "1e300"]
    assert [
        describe_error(RetryableError(retry_after=x)).get("retry_after_ms")
        for x in nothing
    ] == [None] * 5
    assert {
        describe_error(RetryableError(retry_after=x))["retry_after_ms"] for x in most
    } == {MAX_DELAY_MS}
    assert describe_error(RetryableError(retry_after="1.5"))["retry_after_ms"] == 1500
