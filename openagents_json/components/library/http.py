"""`http.request`: one request; whether it is tried again is for the engine to decide."""

from __future__ import annotations

from typing import Any, Literal

from openagents_json.components.context import Context
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@tool("http.request", effect="idempotent", version="1.0.0", tags=("http",))
def request(
    url: str,
    context: Context,
    method: Method = "GET",
    params: dict[str, str | int | float | bool] | None = None,
    headers: dict[str, str] | None = None,
    body: Any = None,
    accept: list[int] | None = None,
    timeout_seconds: float = 30.0,
    max_bytes: int = 1_000_000,
) -> dict[str, Any]:
    """Send an HTTP request; gives status, headers and body of the response."""
    try:
        from openagents_json.components.library import http_exchange
    except ImportError as error:
        raise NonRetryableError(
            "http.request needs the package httpx: pip install 'openagents-json[http]'"
        ) from error
    is_within_bounds = 0 < timeout_seconds <= 3600 and 0 < max_bytes <= 100_000_000
    if not is_within_bounds:
        raise NonRetryableError(
            "timeout_seconds must be above 0 and at most 3600, max_bytes above 0 and at most 100000000"
        )
    bounds = http_exchange.Bounds(timeout_seconds, max_bytes)
    first = http_exchange.prepare(method, url, params, headers, body, context)
    response = http_exchange.exchange(first, bounds)
    http_exchange.raise_for_status(first, response, accept or [], context.now_ms())
    return response.as_output()
