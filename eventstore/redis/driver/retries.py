"""When a call to a server is tried again, and for how long; the driver cannot tell what may be, and never does."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    retry_if_exception_type,
    stop_after_delay,
    wait_exponential,
)

from eventstore.errors import StoreBusy, StoreReadOnly, StoreUnavailable

Result = TypeVar("Result")

FAILOVER_SECONDS: Final = 30.0
"""So long a cluster may need to put a replica in the place of a primary: 15 s by default until it is missed."""

_DICE: Final = random.SystemRandom()
"""Not the generator that a program's own code shares: what it draws from that stays as it is seeded."""

_GROWING: Final = wait_exponential(multiplier=0.02, max=0.5)


def _pause(state: RetryCallState) -> float:
    """Return how long to wait before the next try, in seconds; no two wait alike."""
    return _GROWING(state) + _DICE.uniform(0, 0.05)


def when_free(call: Callable[[], Result], seconds: float = 10.0) -> Result:
    """Try again while the server is busy with a script, at most some seconds; for any call, as it carries out none.

    Raises the last StoreBusy.
    """
    try:
        return call()
    except StoreBusy:
        patient = Retrying(
            retry=retry_if_exception_type(StoreBusy),
            wait=_pause,
            stop=stop_after_delay(seconds),
            reraise=True,
        )
        return patient(call)


def _may_pass(error: BaseException) -> bool:
    """Tell whether a server may be there again in some seconds."""
    is_away = isinstance(error, StoreUnavailable)
    return is_away and not isinstance(error, StoreReadOnly | StoreBusy)


def retrying(call: Callable[[], Result], seconds: float = 10.0) -> Result:
    """Try again while the server is away, at most some seconds; for calls that may be carried out twice.

    A server that cannot write to its disk will not be able to in some seconds, and for one that is busy has been waited
    already. Raises the last StoreUnavailable.
    """
    try:
        return call()
    except (StoreReadOnly, StoreBusy):
        raise
    except StoreUnavailable:
        patient = Retrying(
            retry=retry_if_exception(_may_pass),
            wait=_pause,
            stop=stop_after_delay(seconds),
            reraise=True,
        )
        return patient(call)
