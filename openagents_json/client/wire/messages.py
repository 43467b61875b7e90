"""Calls as requests of HTTP, and responses as answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import httpx
import msgspec

from eventstore import codec
from openagents_json.client.calls.call import Call
from openagents_json.client.errors import (
    ServiceError,
    ServiceTimedOut,
    ServiceUnreachable,
)
from openagents_json.client.problems import error_of
from openagents_json.engine import plain
from openagents_json.errors import OpenAgentsError

Answer = TypeVar("Answer")

JSON_TYPE: Final = "application/json"
CONNECT_SECONDS: Final = 10.0
_decode: Final = msgspec.json.Decoder().decode


def request_of(client: Any, call: Call[Any], seconds: float) -> httpx.Request:
    """Return a call as a request of an httpx client; an answer may take `seconds`, beside what it was asked to wait.

    Raises NotJson.
    """
    headers = dict(call.headers)
    content: bytes | None = None
    if call.body is not None:
        content = codec.encode(plain(call.body))
        headers["Content-Type"] = JSON_TYPE
    if call.wait_seconds:
        headers["Prefer"] = f"wait={call.wait_seconds}"
    timeout = httpx.Timeout(seconds + call.wait_seconds, connect=CONNECT_SECONDS)
    request: httpx.Request = client.build_request(
        call.method,
        call.path,
        params=_texts(call.query),
        headers=headers,
        content=content,
        timeout=timeout,
    )
    return request


def _texts(query: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters as the API reads them: several values of one name stand beside each other."""
    return {name: _text(value) for name, value in query.items()}


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value


def answer_of(call: Call[Answer], response: httpx.Response) -> Answer:
    """Return what a response means.

    Raises the error that the engine would have raised, and ServiceError.
    """
    if response.is_success:
        return call.read_headers(_read(call.read, response), response.headers)
    raise problem_of(response)


def _read(read: Callable[[Any], Answer], response: httpx.Response) -> Answer:
    content = response.content
    try:
        return read(_decode(content) if content else None)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        detail = f"the answer of the service cannot be read: {error}"
        raise ServiceError(response.status_code, {"detail": detail}) from error


def problem_of(response: httpx.Response) -> OpenAgentsError:
    """Return the error of a response; what stands between, as a proxy, answers in words of its own."""
    status = response.status_code
    try:
        problem = _decode(response.content)
    except msgspec.MsgspecError:
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        problem = _of_stranger(response)
    return error_of(problem, status)


def _of_stranger(response: httpx.Response) -> dict[str, Any]:
    """Return the problem of an answer in other words than a service has: a URL may name something else."""
    where = response.url.copy_with(query=None)
    phrase = response.reason_phrase or "an error"
    return {
        "detail": f"{where} answered {response.status_code} {phrase}",
        "remedy": "look at the URL: what answers there is no service of openagents-json, or stands before one",
    }


def transport_error(
    error: httpx.HTTPError, request: httpx.Request, seconds: float
) -> OpenAgentsError:
    """Return what kept a request from being answered, as an error of ours."""
    where = str(request.url.copy_with(path="/", query=None)).rstrip("/")
    never_sent = isinstance(
        error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout
    )
    if isinstance(error, httpx.TimeoutException) and not never_sent:
        return ServiceTimedOut(where, seconds)
    why = str(error) or type(error).__name__
    return ServiceUnreachable(where, why, sent=not never_sent)
