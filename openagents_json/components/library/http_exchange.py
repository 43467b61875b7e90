"""A request of `http.request`, its redirects, its bounded response, and what its status means for the step.

Errors name the method and the origin alone: paths, queries, headers and bodies often hold secrets. For the same reason
no client of httpx stands here, as it writes each address into the log.
"""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpcore
import httpx

from openagents_json.components.context import Context
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.http_network import (
    Resolve,
    pool_of,
    seconds_left,
)
from openagents_json.components.library.json_text import json_of
from openagents_json.components.library.permissions import http_permissions

MAX_REDIRECTS: Final = 5
_SAFE: Final = ("GET", "HEAD")
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_KEPT_BACK: Final = ("set-cookie", "set-cookie2")
"""Headers of a response that are credentials: an output stays in the log of the run."""

_OF_THE_CONNECTION: Final = (
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
)
"""Headers that a document may not set: they say whom the request is for, and where it ends."""

_PACKED_ONCE: Final = ("gzip", "deflate")
"""Codings that are undone: they make at most a thousand times as much of what was read, unlike others and several."""

_TRANSIENT: Final = (
    httpcore.NetworkError,
    httpcore.RemoteProtocolError,
    httpcore.ConnectionNotAvailable,
)


_UNWRITABLE: Final = (
    "the request cannot be written: look at its url, params, headers and body"
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long an exchange may take, redirects included, and how large its response may be."""

    seconds: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that has been read whole."""

    status: int
    headers: httpx.Headers
    content: bytes

    def as_output(self) -> dict[str, Any]:
        """Return what the step gives."""
        body, encoding = _decoded(self.headers.get("content-type", ""), self.content)
        shown = {
            name: value
            for name, value in self.headers.items()
            if name not in _KEPT_BACK
        }
        return {
            "status": self.status,
            "headers": shown,
            "body": body,
            "encoding": encoding,
        }


class _Body(httpx.SyncByteStream):
    """The body of a response as httpx reads it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Any:
        return iter(self._stream)


def prepare(
    method: str,
    url: str,
    params: dict[str, Any] | None,
    headers: dict[str, str] | None,
    body: Any,
    context: Context,
) -> httpx.Request:
    """Return the request of a step; one that changes something carries the step's idempotency key.

    Raises NonRetryableError.
    """
    content: dict[str, Any] = {} if body is None else {"json": body}
    try:
        if isinstance(body, str):
            content = {"content": body.encode()}
        address = httpx.URL(url)
        merged = str(address.copy_merge_params(params)) if params else url
    except (httpx.InvalidURL, ValueError, TypeError):
        raise NonRetryableError(_UNWRITABLE) from None
    return prepare_content(method, merged, headers or {}, content, context)


def prepare_content(
    method: str,
    url: str,
    headers: Mapping[str, str],
    content: Mapping[str, Any],
    context: Context,
) -> httpx.Request:
    """Return a request whose content is given as httpx takes it.

    Raises NonRetryableError.
    """
    added = {"accept-encoding": "identity", "accept": "*/*"}
    if method not in (*_SAFE, "OPTIONS"):
        added["idempotency-key"] = context.idempotency_key
    own = {name.lower(): value for name, value in headers.items()}
    for name in _OF_THE_CONNECTION:
        if name in own:
            raise NonRetryableError(f"the header {name!r} is not for a step to set")
    try:
        return httpx.Request(method, url, headers={**added, **own}, **content)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise NonRetryableError(_UNWRITABLE) from None


def exchange(
    request: httpx.Request,
    bounds: Bounds,
    resolve: Resolve = socket.getaddrinfo,
    *,
    follows: bool = True,
) -> Answer:
    """Send a request and follow where it is sent to, checking each address anew; `resolve` looks names up.

    Raises NonRetryableError and RetryableError.
    """
    ends = time.monotonic() + bounds.seconds
    for _ in range(MAX_REDIRECTS + 1):
        answer = _send(request, ends, bounds, resolve)
        target = answer.headers.get("location", "")
        if not follows or answer.status not in _REDIRECTS or not target:
            return answer
        following = _redirected(request, answer.status, target)
        if following is None:
            return answer
        request = following
    raise NonRetryableError(
        f"{_name(request)}: it is redirected more than {MAX_REDIRECTS} times"
    )


def _redirected(
    request: httpx.Request, status: int, target: str
) -> httpx.Request | None:
    """Return the request that follows, None when something would have to be sent a second time.

    Another origin gets none of the headers: whatever they prove was meant for the first one.
    """
    if request.method not in _SAFE and status != 303:
        return None
    try:
        url = request.url.join(target)
    except (httpx.InvalidURL, ValueError):
        raise NonRetryableError(
            f"{_name(request)}: it is redirected to what is no address"
        ) from None
    if request.url.scheme == "https" and url.scheme != "https":
        raise NonRetryableError(
            f"{_name(request)}: it is redirected from https to {url.scheme}"
        )
    dropped = (*_OF_THE_CONNECTION, "content-type")
    kept = {
        name: value
        for name, value in request.headers.items()
        if _origin(url) == _origin(request.url) and name not in dropped
    }
    method = request.method if request.method in _SAFE else "GET"
    return httpx.Request(method, url, headers={"accept-encoding": "identity", **kept})


def _send(
    request: httpx.Request, ends: float, bounds: Bounds, resolve: Resolve
) -> Answer:
    """Send one request and read its response.

    Raises NonRetryableError and RetryableError.
    """
    permissions = http_permissions()
    is_no_web_address = (
        request.url.scheme not in ("http", "https") or not request.url.host
    )
    if is_no_web_address:
        raise NonRetryableError("the url has to begin with http:// or https://")
    if request.url.userinfo:
        raise NonRetryableError(
            "the url holds a user or a password; give them as the header authorization"
        )
    permissions.check_host(request.url.host)
    try:
        return _read(request, pool_of(permissions, resolve), ends, bounds)
    except httpcore.TimeoutException as error:
        raise RetryableError(
            f"{_name(request)}: it took longer than its time (timeout_seconds): {type(error).__name__}"
        ) from None
    except _TRANSIENT as error:
        raise RetryableError(f"{_name(request)}: {type(error).__name__}") from None
    except (
        httpcore.ProtocolError,
        httpcore.UnsupportedProtocol,
        httpx.DecodingError,
    ) as error:
        raise NonRetryableError(f"{_name(request)}: {type(error).__name__}") from None


def _read(
    request: httpx.Request,
    pool: httpcore.ConnectionPool,
    ends: float,
    bounds: Bounds,
) -> Answer:
    with pool.stream(
        request.method,
        _core_url(request.url),
        headers=request.headers.raw,
        content=request.read() or None,
        extensions={"timeout": _timeouts(ends)},
    ) as raw:
        response = httpx.Response(
            raw.status, headers=raw.headers, stream=_Body(raw.stream), request=request
        )
        content = bytearray()
        for chunk in _unpacked(response):
            content += chunk
            if len(content) > bounds.max_bytes:
                raise NonRetryableError(
                    f"{_name(request)}: the response is larger than {bounds.max_bytes} bytes (max_bytes)"
                )
    return Answer(raw.status, response.headers, bytes(content))


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


def _timeouts(ends: float) -> dict[str, float]:
    """Return what httpcore is to hand on: to our connections the moment at which the time ends, to its pool a length.

    A length would begin anew with each read, and a server that sends a byte now and then be waited for for ever.
    """
    return {
        **dict.fromkeys(("connect", "read", "write"), ends),
        "pool": seconds_left(ends),
    }


def _unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Give the content piece by piece; what is packed in a way that may be without bound stays as it is."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding in _PACKED_ONCE:
        return response.iter_bytes()
    return response.iter_raw()


def raise_for_status(
    request: httpx.Request, answer: Answer, accept: list[int], now_ms: int
) -> None:
    """Let a step fail as the status says; what is in `accept` is no failure.

    Raises NonRetryableError and RetryableError.
    """
    status = answer.status
    if 200 <= status < 300 or status in accept:
        return
    if status == 429 or status >= 500:
        raise_unless_taken(request, answer, now_ms)
    raise NonRetryableError(_told(request, status))


def raise_unless_taken(request: httpx.Request, answer: Answer, now_ms: int) -> None:
    """Let a step be tried again unless the status is 200 to 299, not before the server says.

    Raises RetryableError.
    """
    if not 200 <= answer.status < 300:
        after = _seconds_of(answer.headers.get("retry-after", ""), now_ms)
        raise RetryableError(_told(request, answer.status), retry_after=after)


def _told(request: httpx.Request, status: int) -> str:
    return f"{_name(request)}: the server answered with status {status}"


def _seconds_of(retry_after: str, now_ms: int) -> float | str:
    """Return the seconds of a header `Retry-After`, which has a number or a date."""
    if not retry_after or retry_after.strip().isdigit():
        return retry_after
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    moment = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, moment.timestamp() - now_ms / 1000)


def _decoded(content_type: str, content: bytes) -> tuple[Any, str]:
    """Return a body and how it is given: json, text, or base64 for what is no text."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode(), "base64"
    if kind != "application/json" and not kind.endswith("+json"):
        return text, "text"
    try:
        return json_of(text), "json"
    except (ValueError, RecursionError):
        return text, "text"


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _name(request: httpx.Request) -> str:
    url = request.url
    port = f":{url.port}" if url.port else ""
    return f"{request.method} {url.scheme}://{url.host}{port}"
