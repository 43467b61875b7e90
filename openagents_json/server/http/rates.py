"""The requests that an API key may send: counted in the store, for all instances together, and told with each answer.

The header fields are those of draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from openagents_json.engine import Allowance, ApiKey
from openagents_json.engine.api_keys import ApiKeys, Rate
from openagents_json.server.errors import TooManyRequests

POLICY: Final = '"key"'


async def count(request: Request, keys: ApiKeys, key: ApiKey) -> None:
    """Count a request of a key that has a rate.

    Raises TooManyRequests and StoreUnavailable.
    """
    allowance = await run_in_threadpool(keys.count, key)
    request.state.rate_fields = _fields(Rate.parse(key.rate), allowance)
    if allowance.wait_ms:
        raise TooManyRequests(key.name, key.rate, ceil(allowance.wait_ms / 1000))


def with_rate(request: Request, response: Response) -> Response:
    """Let a response say how many requests its caller has left."""
    response.headers.update(getattr(request.state, "rate_fields", {}))
    return response


def _fields(rate: Rate, allowance: Allowance) -> dict[str, str]:
    window_seconds = rate.period_ms // 1000
    full_seconds = ceil(allowance.full_ms / 1000)
    return {
        "RateLimit-Policy": f"{POLICY};q={rate.limit};w={window_seconds}",
        "RateLimit": f"{POLICY};r={allowance.left};t={full_seconds}",
    }
