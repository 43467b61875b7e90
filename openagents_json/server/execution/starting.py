"""Runs begin: one, or many with a result each."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from math import ceil
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from openagents_json.engine import (
    BusinessKeyTaken,
    Engine,
    InvalidArgument,
    OpenAgentsError,
    RunHandle,
    RunInfo,
    RunNotFound,
    Started,
    Unavailable,
)
from openagents_json.engine.documents import document_of_call
from openagents_json.engine.starting.keyed import BEHIND, USE_EXISTING
from openagents_json.server.http.access import AsOperator, Stopping
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import (
    IdempotencyKey,
    answers_repeats_itself,
)
from openagents_json.server.http.positions import note_start
from openagents_json.server.http.preferences import WaitSeconds, has_ended
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body
from openagents_json.server.http.workflows import Workflow, document_of

router = APIRouter(route_class=StrictRoute, tags=["runs"])

MOST_AT_A_TIME: Final = 1_000
OnConflict = Literal["use-existing", "reject", "replace", "after-closed"]


class StartingSignal(Body):
    """A signal for the open run of a business key, or for the one that begins with it."""

    name: str = Field(min_length=1)
    payload: Any = None
    key: str | None = None
    by: str = ""
    reason: str = ""


class StartRequest(Body):
    """A run to be started: its workflow, a document or the reference of a published one, and its inputs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"workflow": "greeting@^1", "inputs": {"name": "Ada"}}]
        },
    )

    workflow: Workflow
    inputs: dict[str, Any] = Field(default={})
    labels: dict[str, str] | None = None
    budget: dict[str, Any] | None = Field(
        default=None, description="How much the run may use, as in a document."
    )
    business_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Under it, one run of the workflow is open at a time.",
    )
    on_conflict: OnConflict | None = Field(
        default=None,
        description="What becomes of the start where a run of the business key is open; `reject` without it.",
    )
    signal: StartingSignal | None = Field(
        default=None,
        description="Sent to the open run of the business key; where there is none, one begins with it.",
    )


class JobRequest(Body):
    """A component to be called durably, without a document: `name` or `name@range`, and its inputs."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"component": "greet", "inputs": {"name": "Ada"}}]
        },
    )

    component: str = Field(min_length=1, max_length=300)
    inputs: dict[str, Any] = Field(default={})
    labels: dict[str, str] | None = None


class KeyedStartRequest(StartRequest):
    """One of many runs to be started."""

    idempotency_key: str | None = Field(default=None, min_length=1, max_length=200)


class StartManyRequest(Body):
    """Runs to be started together; each is answered for itself."""

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
    http: Request,
    engine: AsOperator,
    wait_seconds: WaitSeconds,
    stopping: Stopping,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start a run, and with `Prefer: wait=30` answer when it has ended, or after so many seconds.

    So long is waited for a run of the same business key, too, where this one is to begin `after-closed`.
    """
    until = _now() + wait_seconds
    handle = await _started_in_time(engine, request, idempotency_key, until, stopping)
    left = max(0, ceil(until - _now()))
    return await _answer(http, engine, handle, left, stopping)


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
    http: Request,
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
    return await _answer(http, engine, handle, wait_seconds, stopping)


async def _answer(
    http: Request,
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
        note_start(http, handle)
        return Reply({"id": handle.id}, 201, headers)
    ended = await has_ended(engine, handle.id, wait_seconds, stopping)
    info = await run_in_threadpool(engine.state, handle.id)
    if ended:
        return Reply(info, 200, headers)
    return Reply(info, 202, headers | {"Retry-After": "1"})


async def _started_in_time(
    engine: Engine,
    request: StartRequest,
    key: str | None,
    until: float,
    stopping: asyncio.Event,
) -> RunHandle[Any]:
    """Start a run; one that begins behind another one waits for the end of that, without a thread."""
    while True:
        try:
            return await run_in_threadpool(_start, engine, request, key)
        except BusinessKeyTaken as taken:
            left = until - _now()
            if request.on_conflict not in BEHIND or left <= 0:
                raise
            try:
                if not await has_ended(engine, taken.run, left, stopping):
                    raise
            except RunNotFound:
                continue  # it was deleted meanwhile, which is an end too


def _now() -> float:
    return asyncio.get_running_loop().time()


def _start(engine: Engine, request: StartRequest, key: str | None) -> RunHandle[Any]:
    """Start a run, or signal the one that has its business key; nobody is waited for."""
    signal = request.signal
    workflow = document_of(request.workflow)
    if signal is None:
        return engine.start(
            workflow,
            request.inputs,
            idempotency_key=key,
            labels=request.labels,
            budget=request.budget,
            business_key=request.business_key,
            on_conflict=request.on_conflict,
            conflict_timeout=0,
        )
    if request.business_key is None or request.on_conflict not in (None, USE_EXISTING):
        raise InvalidArgument(
            "a signal is for the open run of a business key",
            remedy="give a business_key, and no on_conflict but use-existing",
        )
    return engine.start_or_signal(
        workflow,
        request.inputs,
        business_key=request.business_key,
        signal=signal.name,
        payload=signal.payload,
        key=signal.key,
        by=signal.by,
        reason=signal.reason,
        idempotency_key=key,
        labels=request.labels,
        budget=request.budget,
    )


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
    stand_alone = any(_stands_alone(start) for start in starts)
    if stand_alone or not same_labels:
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


def _stands_alone(start: StartRequest) -> bool:
    """Tell whether a start asks for what starts of many cannot be asked for together."""
    own = (start.budget, start.business_key, start.on_conflict, start.signal)
    return any(given is not None for given in own)


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
