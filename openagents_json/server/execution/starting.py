"""Runs begin: one, or many with a result each."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from starlette.responses import Response

from openagents_json.engine import (
    Engine,
    OpenAgentsError,
    RunHandle,
    RunInfo,
    Started,
    Unavailable,
    WorkflowReference,
)
from openagents_json.engine.documents import document_of_call
from openagents_json.server.http.access import AsOperator, Stopping
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import (
    IdempotencyKey,
    answers_repeats_itself,
)
from openagents_json.server.http.preferences import WaitSeconds, has_ended
from openagents_json.server.http.replies import Reply

router = APIRouter(route_class=StrictRoute, tags=["runs"])

MOST_AT_A_TIME: Final = 1_000
_REFERENCE: Final = re.compile(r"[a-zA-Z0-9_-]+(@\S*)?")


def _workflow(value: Any) -> Any:
    """Refuse what is neither a document nor a reference, in one sentence."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return value
    raise ValueError(
        "it must be a document, or name a published workflow: id, id@range or id@alias"
    )


Workflow = Annotated[
    Any,
    AfterValidator(_workflow),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object"},
                {"type": "string", "pattern": f"^{_REFERENCE.pattern}$"},
            ],
            "description": "A document, or a published workflow: `id`, `id@range` or `id@alias`.",
        }
    ),
]


class StartRequest(BaseModel):
    """A run to be started: its workflow, a document or the reference of a published one, and its inputs."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"workflow": "greeting@^1", "inputs": {"name": "Ada"}}]
        },
    )

    workflow: Workflow
    inputs: dict[str, Any] = {}
    labels: dict[str, str] | None = None
    budget: dict[str, Any] | None = Field(
        default=None, description="How much the run may use, as in a document."
    )


class JobRequest(BaseModel):
    """A component to be called durably, without a document: `name` or `name@range`, and its inputs."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"component": "greet", "inputs": {"name": "Ada"}}]
        },
    )

    component: str = Field(min_length=1, max_length=300)
    inputs: dict[str, Any] = {}
    labels: dict[str, str] | None = None


class KeyedStartRequest(StartRequest):
    """One of many runs to be started."""

    idempotency_key: str | None = Field(default=None, min_length=1, max_length=200)


class StartManyRequest(BaseModel):
    """Runs to be started together; each is answered for itself."""

    model_config = ConfigDict(extra="forbid")

    runs: list[KeyedStartRequest] = Field(min_length=1, max_length=MOST_AT_A_TIME)


class StartedRun(BaseModel):
    """The id of a run that has begun."""

    id: str


class StartedOrNot(BaseModel):
    """The id of a run of many, and what kept it from beginning."""

    id: str
    error: dict[str, Any] | None = None


class StartedRuns(BaseModel):
    """What became of each of many starts, in their order."""

    runs: list[StartedOrNot]


@router.post(
    "/runs",
    status_code=201,
    operation_id="startRun",
    response_model=StartedRun,
    responses={
        200: {"model": RunInfo, "description": "The run has ended in time."},
        202: {"model": RunInfo, "description": "The run has begun and goes on."},
    },
)
@answers_repeats_itself
async def start_run(
    request: StartRequest,
    engine: AsOperator,
    wait_seconds: WaitSeconds,
    stopping: Stopping,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start a run, and with `Prefer: wait=30` answer when it has ended, or after so many seconds."""
    handle = await run_in_threadpool(_start, engine, request, idempotency_key)
    return await _answer(engine, handle, wait_seconds, stopping)


@router.post(
    "/jobs",
    status_code=201,
    operation_id="startJob",
    response_model=StartedRun,
    responses={
        200: {"model": RunInfo, "description": "The component has ended in time."},
        202: {"model": RunInfo, "description": "The component goes on."},
    },
)
@answers_repeats_itself
async def start_job(
    request: JobRequest,
    engine: AsOperator,
    wait_seconds: WaitSeconds,
    stopping: Stopping,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Call a component durably, with retries and a history: a run of one step, without a document."""
    called = StartRequest(
        workflow=document_of_call(request.component, request.inputs),
        inputs=request.inputs,
        labels=request.labels,
    )
    handle = await run_in_threadpool(_start, engine, called, idempotency_key)
    return await _answer(engine, handle, wait_seconds, stopping)


async def _answer(
    engine: Engine,
    handle: RunHandle[Any],
    wait_seconds: int,
    stopping: asyncio.Event,
) -> Response:
    """Say where a run is that was started, or how it is when it was waited for."""
    headers = {"Location": f"/v1/runs/{handle.id}"}
    if not handle.is_new:
        headers["Idempotency-Replayed"] = "true"
    if not wait_seconds:
        return Reply({"id": handle.id}, 201, headers)
    ended = await has_ended(engine, handle.id, wait_seconds, stopping)
    info = await run_in_threadpool(engine.state, handle.id)
    if ended:
        return Reply(info, 200, headers)
    return Reply(info, 202, headers | {"Retry-After": "1"})


def _start(engine: Engine, request: StartRequest, key: str | None) -> RunHandle[Any]:
    return engine.start(
        document_of(request.workflow),
        request.inputs,
        idempotency_key=key,
        labels=request.labels,
        budget=request.budget,
    )


def document_of(workflow: dict[str, Any] | str) -> dict[str, Any] | WorkflowReference:
    """Return a workflow as the engine takes it: a text names a published one, and never a file of this machine."""
    return WorkflowReference(workflow) if isinstance(workflow, str) else workflow


@router.post("/runs/batch", operation_id="startRuns", response_model=StartedRuns)
def start_runs(
    request: StartManyRequest,
    engine: AsOperator,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start up to 1,000 runs in few round trips; what cannot begin is told for itself, and keeps no other.

    With a key, each of those that have none begins under one that comes from it.
    """
    starts = request.runs
    keys = [
        start.idempotency_key or _key_of(idempotency_key, number)
        for number, start in enumerate(starts)
    ]
    labels = [start.labels for start in starts]
    same_labels = all(given == labels[0] for given in labels)
    has_budgets = any(start.budget is not None for start in starts)
    if has_budgets or not same_labels:
        return _start_each(starts, keys, engine)
    asked = [(document_of(start.workflow), start.inputs) for start in starts]
    try:
        started = engine.start_many(asked, keys=keys, labels=labels[0])
    except Unavailable:
        # They may have begun: to start them again here would begin twice those that have no key.
        raise
    except OpenAgentsError:
        # One that is refused before anything is written refuses all of them, without saying which.
        return _start_each(starts, keys, engine)
    return Reply({"runs": [_started(one) for one in started]})


def _key_of(key: str | None, number: int) -> str | None:
    """Return the key of one of many runs from that of the request: who dies between them goes on where he was."""
    if key is None:
        return None
    return hashlib.sha256(
        f"{number}\0{key}".encode("utf-8", "surrogatepass")
    ).hexdigest()


def _started(one: Started) -> dict[str, Any]:
    return {"id": str(one), "error": _error(one.error)}


def _start_each(
    requests: Sequence[KeyedStartRequest], keys: Sequence[str | None], engine: Engine
) -> Response:
    """Start runs one by one, because not all of them can begin together."""
    results: list[dict[str, Any]] = []
    for request, key in zip(requests, keys, strict=True):
        try:
            run = _start(engine, request, key)
            results.append({"id": str(run), "error": None})
        except OpenAgentsError as error:
            results.append({"id": "", "error": _error(error)})
    return Reply({"runs": results})


def _error(error: Exception | None) -> dict[str, Any] | None:
    if error is None:
        return None
    code = getattr(error, "code", "defect")
    remedy = getattr(error, "remedy", "")
    return {"code": code, "detail": str(error), "remedy": remedy}
