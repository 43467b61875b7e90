"""Bodies of requests: bounded before they are held, read as JSON and nothing more lenient."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from inspect import signature
from typing import Any, Final

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openagents_json.engine import OpenAgentsError
from openagents_json.engine.inputs.texts import read_json as strict_json
from openagents_json.server.errors import BodyNotJson, BodyTooLarge
from openagents_json.server.http.access import identify
from openagents_json.server.http.idempotency import carry_out_once, declared_key
from openagents_json.server.http.positions import (
    DECLARED,
    reached,
    tell_position,
)
from openagents_json.server.http.problems import of_error, of_invalid_request
from openagents_json.server.http.rates import with_rate

MOST_BYTES: Final = 16 * 1024 * 1024
"""So large may a body be: a document of the largest size that is taken, and its inputs."""


class BoundedBodies:
    """Refuses bodies that are too large: by what they say of themselves, and else as soon as they are."""

    def __init__(self, app: ASGIApp, most: int = MOST_BYTES) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, counting what it sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            counted = bounded(scope, receive, self._most)
        except BodyTooLarge as error:
            await of_error(error)(scope, receive, send)
            return
        await self._app(scope, counted, send)


def bounded(scope: Scope, receive: Receive, most: int = MOST_BYTES) -> Receive:
    """Return what receives a body and refuses it once it is too large.

    Raises BodyTooLarge for one that says so of itself.
    """
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > most:
        raise BodyTooLarge(most)
    left = most

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise BodyTooLarge(most)
        return message

    return counted


def in_its_place(request: Request, response: Response) -> Response:
    """Let a response say where something is as the caller sees it: the application may have put us below a path."""
    location = response.headers.get("Location", "")
    if not location.startswith("/v1/"):
        return response
    before, separator, _ = request.url.path.partition("/v1/")
    if separator and before:
        response.headers["Location"] = f"{before}{location}"
    return response


class _StrictRequest(Request):
    """A request whose body is read strictly."""

    async def json(self) -> Any:
        """Return the value of the body.

        Raises BodyNotJson.
        """
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads bodies of known callers, strictly, and answers what is wrong with them as a problem.

    What is posted under an idempotency key is carried out once.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        options["openapi_extra"] = {
            **(options.get("openapi_extra") or {}),
            "parameters": [DECLARED],
        }
        is_posted = "POST" in (options.get("methods") or ())
        if is_posted and "idempotency_key" not in signature(endpoint).parameters:
            declared = [*(options.get("dependencies") or ()), Depends(declared_key)]
            options["dependencies"] = declared
        super().__init__(path, endpoint, **options)

    def get_route_handler(
        self,
    ) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what handles a request."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            # Here, and not by the application: it may be that of somebody else, who answers in other words.
            return with_rate(request, await answer(request))

        async def answer(request: Request) -> Response:
            try:
                await identify(request)
                receive = bounded(request.scope, request.receive)
                strict = _StrictRequest(request.scope, receive)
                await _look_at_body(strict)
                asked = await reached(strict)
                response = await carry_out_once(self, strict, handle)
                await tell_position(self, strict, response, asked)
                return in_its_place(request, response)
            except OpenAgentsError as error:
                return of_error(error)
            except RequestValidationError as error:
                return of_invalid_request(error.errors())

        return handle_strictly


async def _look_at_body(request: _StrictRequest) -> None:
    """Read the body before FastAPI does, which would answer in its own words.

    Raises BodyNotJson and BodyTooLarge.
    """
    if request.method in ("POST", "PUT", "PATCH") and await request.body():
        await request.json()


def read_json(raw: bytes) -> Any:
    """Return the value of a JSON text.

    Raises BodyNotJson: also for a name that stands twice in an object, for NaN, and for what is no UTF-8.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyNotJson(f"byte {error.start} is no UTF-8") from None
    try:
        return strict_json(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise BodyNotJson(f"{where}: {error.msg}") from None
    except ValueError as error:
        raise BodyNotJson(str(error)) from None
