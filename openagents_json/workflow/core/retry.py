"""Whether and when an attempt is made again: a pure function of the policy and the failures so far."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

MAX_DELAY_MS: Final = 366 * 24 * 3600 * 1000
"""No wait is longer than a year, whatever the multiplier."""


DAY_MS: Final = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a step is retried; `max_retries` counts retries, so executions are one more.

    A component may ask for a longer wait, up to `max_retry_after_ms`. `jitter` is a fraction: 0.1, or true, varies a
    delay by up to ten percent either way. Error types are class names. `max_elapsed_ms` is counted from where the first
    attempt began.
    """

    max_retries: int = 0
    delay_ms: int = 0
    multiplier: float = 1.0
    max_delay_ms: int | None = None
    jitter: float | bool = 0.0
    retry_on: tuple[str, ...] = ()
    no_retry_on: tuple[str, ...] = ()
    max_retry_after_ms: int = DAY_MS
    max_elapsed_ms: int | None = None


def asked_delay(policy: RetryPolicy, delay_ms: int, asked_ms: object) -> int:
    """Return the wait after an error that asks for one of its own: no less than that, within what the policy allows."""
    if not isinstance(asked_ms, int) or isinstance(asked_ms, bool):
        return delay_ms
    return max(delay_ms, min(asked_ms, policy.max_retry_after_ms, MAX_DELAY_MS))


def next_delay(
    policy: RetryPolicy, failures: int, error_type: str, seed: str
) -> int | None:
    """Return the wait in ms before the next attempt after `failures` failures (from 1), None to give up.

    The wait is delay x multiplier^(failures - 1), as tenacity.wait_exponential has it; the jitter comes from `seed`
    and the count, so that a replay computes the same. The maximum holds with the jitter too.
    """
    is_the_last = failures > policy.max_retries or error_type in policy.no_retry_on
    if is_the_last:
        return None
    if policy.retry_on and error_type not in policy.retry_on:
        return None
    cap = MAX_DELAY_MS
    if policy.max_delay_ms is not None:
        cap = min(policy.max_delay_ms, MAX_DELAY_MS)
    delay = _grown(policy, failures, cap)
    fraction = 0.1 if policy.jitter is True else float(policy.jitter)
    if fraction:
        direction = 2 * _draw(f"{seed}#{failures}") - 1
        delay *= 1 + fraction * direction
    return max(0, min(cap, round(delay)))


def _grown(policy: RetryPolicy, failures: int, cap: int) -> float:
    """Return the wait without jitter, in ms, which grows with each failure."""
    if not policy.delay_ms:
        return 0.0
    exponent = max(0, failures - 1)
    try:
        delay = policy.delay_ms * policy.multiplier**exponent
    except OverflowError:
        return float(cap)
    return min(float(cap), delay)


def _draw(text: str) -> float:
    """Return a number in [0, 1) that looks random and depends on the text alone."""
    encoded = text.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(encoded, digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
