"""Waits of retries: as tenacity computes them, bounded, and the same in every replay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as s
from tenacity import RetryCallState, Retrying, wait_exponential

from openagents_json.workflow.retry import MAX_DELAY_MS, RetryPolicy, next_delay

POLICIES = s.builds(
    RetryPolicy,
    max_retries=s.integers(0, 50),
    delay_ms=s.integers(0, 10**7),
    multiplier=s.floats(1, 1e6),
    max_delay_ms=s.none() | s.integers(0, 10**9),
    jitter=s.booleans() | s.floats(0, 1),
    retry_on=s.lists(s.sampled_from(["A", "B"])).map(tuple),
    no_retry_on=s.lists(s.sampled_from(["B", "C"])).map(tuple),
)


@given(POLICIES, s.integers(1, 60), s.sampled_from(["A", "B", "C"]), s.text(max_size=5))
def test_a_wait_is_bounded_and_depends_on_its_arguments_alone(
    policy: RetryPolicy, failures: int, error: str, seed: str
) -> None:
    delay = next_delay(policy, failures, error, seed)
    assert delay == next_delay(policy, failures, error, seed)
    given_up = failures > policy.max_retries or error in policy.no_retry_on
    assert (delay is None) == (given_up or bool(policy.retry_on and error not in policy.retry_on))
    if delay is not None:
        assert 0 <= delay <= min(MAX_DELAY_MS, MAX_DELAY_MS if policy.max_delay_ms is None else policy.max_delay_ms)


@given(s.integers(1, 10**5), s.floats(1, 10), s.integers(1, 12), s.integers(1, 10**8))
def test_without_jitter_it_is_the_wait_of_tenacity(delay_ms: int, factor: float, failures: int, most: int) -> None:
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = failures
    expected = wait_exponential(multiplier=delay_ms, exp_base=factor, max=most)(state)
    policy = RetryPolicy(max_retries=99, delay_ms=delay_ms, multiplier=factor, max_delay_ms=most)
    found = next_delay(policy, failures, "E", "")
    assert found is not None
    assert abs(found - expected) <= 1
