"""Schedules: runs that begin by the clock."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field, WithJsonSchema
from starlette.responses import Response

from openagents_json.engine import Engine, Progress, Schedule
from openagents_json.server.execution.starting import StartedRun
from openagents_json.server.http.access import AsDeveloper, AsOperator, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import IdempotencyKey
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body

router = APIRouter(route_class=StrictRoute, tags=["schedules"])


IfNoneMatch = Annotated[
    Literal["*"] | None,
    Header(description="`*`: nothing is replaced (RFC 9110)."),
    WithJsonSchema({"type": "string", "const": "*"}),
]


class ScheduleRequest(Body):
    """When runs of a published workflow begin: by a cron expression, or every so many seconds."""

    workflow: str = Field(min_length=1)
    cron: str = ""
    every_seconds: float = 0.0
    timezone: str = "UTC"
    inputs: dict[str, Any] | None = None
    overlap: str = "skip"
    catchup_seconds: float = 3600.0
    jitter_seconds: float = 0.0
    labels: dict[str, str] | None = None
    paused: bool = False


class ScheduleAnswer(BaseModel):
    """A schedule, and how far it has come."""

    schedule: Schedule
    progress: Progress


@router.get(
    "/schedules", operation_id="listSchedules", response_model=list[ScheduleAnswer]
)
def list_schedules(engine: AsViewer) -> Response:
    """List all schedules."""
    return Reply([_answer(*pair) for pair in engine.schedules.every()])


@router.get(
    "/schedules/{name}", operation_id="getSchedule", response_model=ScheduleAnswer
)
def get_schedule(name: str, engine: AsViewer) -> Response:
    """Return a schedule."""
    return Reply(_answer(*engine.schedules.get(name)))


@router.put(
    "/schedules/{name}", operation_id="putSchedule", response_model=ScheduleAnswer
)
def put_schedule(
    name: str,
    request: ScheduleRequest,
    engine: AsDeveloper,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Create a schedule, or replace it; with `If-None-Match: *`, one that is there already stays as it is."""
    schedule = Schedule(name=name, **request.model_dump())
    progress = engine.schedules.create(schedule, replace_it=if_none_match is None)
    return Reply(_answer(schedule, progress))


@router.delete("/schedules/{name}", status_code=204, operation_id="deleteSchedule")
def delete_schedule(name: str, engine: AsDeveloper) -> Response:
    """Remove a schedule; its runs go on."""
    engine.schedules.delete(name)
    return Response(status_code=204)


@router.post(
    "/schedules/{name}/pause",
    operation_id="pauseSchedule",
    response_model=ScheduleAnswer,
)
def pause_schedule(name: str, engine: AsOperator) -> Response:
    """Fire no more until resumed."""
    return _paused(engine, name, paused=True)


@router.post(
    "/schedules/{name}/resume",
    operation_id="resumeSchedule",
    response_model=ScheduleAnswer,
)
def resume_schedule(name: str, engine: AsOperator) -> Response:
    """Let a paused schedule fire again."""
    return _paused(engine, name, paused=False)


def _paused(engine: Engine, name: str, *, paused: bool) -> Response:
    engine.schedules.pause(name, paused=paused)
    return Reply(_answer(*engine.schedules.get(name)))


@router.post(
    "/schedules/{name}/trigger",
    status_code=201,
    operation_id="triggerSchedule",
    response_model=StartedRun,
)
def trigger_schedule(
    name: str, engine: AsOperator, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a run of a schedule now, beside its times."""
    run = engine.schedules.trigger(
        name, actor=engine.actor, idempotency_key=idempotency_key
    )
    return Reply({"id": run}, 201, {"Location": f"/v1/runs/{run}"})


@router.get("/schedules/{name}/next", operation_id="nextFirings")
def next_firings(
    name: str,
    engine: AsViewer,
    count: Annotated[int, Query(ge=1, le=1_000)] = 5,
) -> Any:
    """Return when a schedule fires next, in ms since 1970."""
    return Reply(engine.schedules.next_firings(name, count))


def _answer(schedule: Schedule, progress: Progress) -> dict[str, Any]:
    return {"schedule": schedule, "progress": progress}
