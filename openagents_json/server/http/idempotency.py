"""Idempotency keys: what is posted under one is carried out once, and answered alike when it is sent again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, TypeVar

from fastapi import Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from openagents_json.engine import Engine, OpenAgentsError, RunInfo
from openagents_json.engine.steering.requests import CarriedRequest, KeyedRequests
from openagents_json.server.http.access import Role, engine_of
from openagents_json.server.http.replies import Reply, json_bytes

LONGEST_KEY: Final = 200
LARGEST_ANSWER: Final = 1024 * 1024
"""A larger answer is not kept: what is asked for again is carried out again, each part of it under a key of its own."""

_REPLAYED: Final = {"Idempotency-Replayed": "true"}
_KEPT_HEADERS: Final = ("location", "content-type")
_FIRST_OF_SERVER: Final = 500

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=LONGEST_KEY,
        description="The same request with the same key is carried out once.",
    ),
]
Handle = Callable[[Request], Awaitable[Response]]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


async def declared_key(idempotency_key: IdempotencyKey = None) -> None:
    """Declare the header for an operation."""


def answers_repeats_itself(endpoint: Endpoint) -> Endpoint:
    """Mark an operation that hands its key on to the engine, and tells itself that it answers again.

    It may wait for what the first request has begun, where all others are told that it is under way.
    """
    endpoint.answers_repeats_itself = True  # type: ignore[attr-defined]
    return endpoint


def only_reads(endpoint: Endpoint) -> Endpoint:
    """Mark an operation that changes nothing: sent again, it reads again."""
    endpoint.only_reads = True  # type: ignore[attr-defined]
    return endpoint


async def carry_out_once(route: APIRoute, request: Request, handle: Handle) -> Response:
    """Answer a request; one that has a key, as it was answered before.

    Raises what `handle` raises, RoleTooLow, KeyReused, RequestUnderWay and StoreUnavailable.
    """
    key = request.headers.get("idempotency-key", "")
    is_left_alone = getattr(route.endpoint, "answers_repeats_itself", False)
    # A key that is none is refused with all else that is wrong with the request.
    if request.method != "POST" or is_left_alone or not 0 < len(key) <= LONGEST_KEY:
        return await handle(request)
    engine = engine_of(request, _needed_role(route.dependant))
    digest = await _digest(request)
    run = request.path_params.get("run", "")
    requests = engine.keyed_requests
    begun = await run_in_threadpool(requests.begin, key, request.url.path, digest, run)
    if isinstance(begun, bytes):
        return await _answer_again(engine, run, begun, request, handle)
    request.state.carried = begun
    return await _carried_out(route, request, handle, requests, begun)


async def _carried_out(
    route: APIRoute,
    request: Request,
    handle: Handle,
    requests: KeyedRequests,
    begun: CarriedRequest,
) -> Response:
    try:
        response = await handle(request)
    except Exception as error:
        await run_in_threadpool(requests.ended, begun, refused=_is_refusal(error))
        raise
    if len(response.body) > LARGEST_ANSWER:
        await run_in_threadpool(requests.ended, begun, refused=False)
    else:
        answer = json_bytes(_kept(route, response))
        await run_in_threadpool(requests.answered, begun, answer)
    if begun.was_found:
        response.headers.update(_REPLAYED)
    return response


def _is_refusal(error: Exception) -> bool:
    """Tell whether a request was refused, so that nothing was done; after other errors nobody knows."""
    if isinstance(error, OpenAgentsError):
        return error.http_status < _FIRST_OF_SERVER
    return isinstance(error, RequestValidationError | HTTPException)


def _kept(route: APIRoute, response: Response) -> dict[str, Any]:
    """Return what is kept of an answer.

    Of a run, it is the version alone: what the run works with stays where it can be encrypted and erased.
    """
    headers = {
        name: response.headers[name]
        for name in _KEPT_HEADERS
        if name in response.headers
    }
    kept: dict[str, Any] = {"status": response.status_code, "headers": headers}
    body = bytes(response.body)
    if getattr(route.endpoint, "only_reads", False):
        return {"reads": True}
    if route.response_model is RunInfo:
        return kept | {"version": json.loads(body)["version"]}
    return kept | {"body": body.decode()}


async def _answer_again(
    engine: Engine, run: str, answer: bytes, request: Request, handle: Handle
) -> Response:
    kept: Mapping[str, Any] = json.loads(answer)
    if "reads" in kept:
        response = await handle(request)
        response.headers.update(_REPLAYED)
        return response
    headers = {**kept["headers"], **_REPLAYED}
    if "version" not in kept:
        return Response(kept["body"], kept["status"], headers)
    info = await run_in_threadpool(engine.replay.state_at, run, version=kept["version"])
    return Reply(info, kept["status"], headers)


async def _digest(request: Request) -> str:
    """Return a hash of what is asked for: the parameters, and the value of the body however it is written."""
    body = await request.json() if await request.body() else None
    asked = [sorted(request.query_params.multi_items()), body]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _needed_role(dependant: Dependant) -> Role:
    """Return the role that an operation needs."""
    roles = [
        getattr(inner.call, "needed_role", None) for inner in dependant.dependencies
    ]
    return next(role for role in roles if isinstance(role, Role))
