"""Errors as problem details (RFC 9457), with the code of the error tree and what to do."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from openagents_json.engine import (
    BusinessKeyTaken,
    InvalidDefinition,
    KeyConflict,
    LimitReached,
    OpenAgentsError,
    RunNotCompleted,
    StoreFull,
    Unavailable,
    masked,
)
from openagents_json.engine.remote_work.leases import ClaimDiffers
from openagents_json.engine.steering.errors import KeyReused, RequestUnderWay
from openagents_json.server.http.replies import json_bytes

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
KIND: Final = "urn:openagents-json:error:"
"""The type of a problem is this with the code of the error behind it."""

RETRY_AFTER_SECONDS: Final = 1
_PASSING: Final = (
    Unavailable,
    LimitReached,
    StoreFull,
    RequestUnderWay,
    BusinessKeyTaken,
)
"""What the same request may be spared later."""


class ProblemDetails(BaseModel):
    """What went wrong: `code` names the kind of error and never changes, `remedy` says what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:openagents-json:error:run_not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no run 0-01abc"])
    code: str = Field(examples=["run_not_found"])
    remedy: str = ""
    retryable: bool = Field(
        default=False, description="Whether the same request may succeed later."
    )
    source: str = Field(
        default="api", description="`run` where a run ended so, else `api`."
    )


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    remedy: str = "",
    headers: dict[str, str] | None = None,
    **more: Any,
) -> Response:
    """Return a problem as a response."""
    details = {
        "type": f"{KIND}{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": masked(detail),
        "code": code,
        "remedy": masked(remedy),
        "retryable": False,
        "source": "api",
        **more,
    }
    return Response(json_bytes(details), status, headers, MEDIA_TYPE)


def of_error(error: OpenAgentsError) -> Response:
    """Return an error of the product as a response."""
    status = error.http_status
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(error, InvalidDefinition):
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        more["problems"] = error.report.problems
    if isinstance(error, KeyConflict):
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        more |= {"run": error.run, "asked": error.asked, "recorded": error.recorded}
    if isinstance(error, KeyReused | ClaimDiffers):
        more |= {"asked": error.asked, "recorded": error.recorded}
    if isinstance(error, RunNotCompleted):
        more["source"] = "run"
    if isinstance(error, BusinessKeyTaken):
        more["run"] = error.run
    if isinstance(error, _PASSING):
        more["retryable"] = True
        wait_seconds = getattr(error, "wait_seconds", RETRY_AFTER_SECONDS)
        headers["Retry-After"] = str(wait_seconds)
    detail = str(error).removesuffix(f"; {error.remedy}")
    return problem(
        status, error.code, detail, remedy=error.remedy, headers=headers, **more
    )


def add_problems(app: FastAPI) -> None:
    """Let an application answer every error as a problem."""

    @app.exception_handler(OpenAgentsError)
    def _(_request: Request, error: OpenAgentsError) -> Response:
        return of_error(error)

    @app.exception_handler(RequestValidationError)
    def _(_request: Request, error: RequestValidationError) -> Response:
        return of_invalid_request(error.errors())

    @app.exception_handler(HTTPException)
    def _(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.NOT_FOUND:
            return _nothing_at(request.url.path)
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # Each method is a route of its own: the one that was looked at knows of no other.
            methods = _methods_at(app, request.scope["path"])
            headers["Allow"] = ", ".join(methods) or headers.get("Allow", "")
        return problem(error.status_code, code, str(error.detail), headers=headers)

    @app.exception_handler(Exception)
    def _(request: Request, error: Exception) -> Response:
        # What is in the texts of strangers' errors is not for callers: it may be a payload.
        asked = (request.method, request.url.path)
        about = {"request_id": getattr(request.state, "request_id", None)}
        log.error("a request failed: %s %s", *asked, exc_info=error, extra=about)
        return problem(
            500,
            "defect",
            "this is a defect of openagents-json",
            remedy="please report it with what the log of this service says",
        )


def _nothing_at(path: str) -> Response:
    return problem(
        HTTPStatus.NOT_FOUND,
        "not_found",
        f"there is nothing at {path}",
        remedy="look at the URL: that of a service ends before /v1",
    )


def _methods_at(app: FastAPI, path: str) -> list[str]:
    """Return the methods of a path, if it is listed: /runs/search has none of /runs/{run}, though it would fit."""
    paths = app.openapi()["paths"]
    fitting = [each for each in paths if compile_path(each)[0].match(path)]
    listed = [path] if path in paths else fitting[:1]
    return sorted(method.upper() for each in listed for method in paths[each])


def of_invalid_request(errors: Sequence[Any]) -> Response:
    """Return what is wrong with a request as a response."""
    details = [{"pointer": _pointer(x["loc"]), "detail": x["msg"]} for x in errors]
    first = details[0]
    where = first["pointer"] or "the body"
    return problem(
        422,
        "invalid_request",
        f"{where}: {first['detail']}",
        pointer=first["pointer"],
        errors=details,
    )


def _pointer(location: Sequence[str | int]) -> str:
    """Return where something is: a JSON pointer into the body, else the kind of parameter and its name."""
    kind, *path = location
    escaped = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    if kind == "body":
        return "".join(f"/{part}" for part in escaped)
    return ".".join([str(kind), *escaped])
