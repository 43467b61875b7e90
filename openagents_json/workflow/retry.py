"""Whether and when an attempt is made again: a pure function of the policy and the failures so far."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

MAX_DELAY_MS: Final = 366 * 24 * 3600 * 1000
"""No wait is longer than a year, whatever the multiplier."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a step is retried; `max_retries` counts retries, so executions are one more.

    `jitter` is a fraction: 0.1 varies a delay by up to ten percent either way.
    """

    max_retries: int = 0
    delay_ms: int = 0
    multiplier: float = 1.0
    max_delay_ms: int | None = None
    jitter: float = 0.0
    retry_on: tuple[str, ...] = ()
    no_retry_on: tuple[str, ...] = ()


def next_delay(policy: RetryPolicy, failures: int, error_type: str, seed: str) -> int | None:
    """Give the wait in ms before the next attempt after `failures` failures (from 1), None to give up.

    The jitter comes from `seed` and the count, so that a replay computes the same.
    """
    if failures > policy.max_retries or error_type in policy.no_retry_on:
        return None
    if policy.retry_on and error_type not in policy.retry_on:
        return None
    cap = MAX_DELAY_MS if policy.max_delay_ms is None else min(policy.max_delay_ms, MAX_DELAY_MS)
    try:
        delay = min(float(cap), policy.delay_ms * policy.multiplier ** (failures - 1))
    except OverflowError:
        delay = float(cap) if policy.delay_ms else 0.0
    if policy.jitter:
        delay *= 1 + policy.jitter * (2 * _fraction(f"{seed}#{failures}") - 1)
    return max(0, min(cap, round(delay)))


def _fraction(text: str) -> float:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
