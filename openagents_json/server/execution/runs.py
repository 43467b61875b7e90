"""Runs as they are and as they were: lists, one run, its history, its steps, why it is so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from starlette.responses import Response

from openagents_json.engine import (
    STATUSES,
    Engine,
    HistoryEvent,
    Result,
    RunInfo,
    RunPage,
    RunRow,
    WaitTimeout,
)
from openagents_json.engine.answers.layouts import Layout
from openagents_json.engine.answers.steps import Overview
from openagents_json.engine.answers.times import Timeline
from openagents_json.engine.inspection.explain import Explanation
from openagents_json.server.http.access import AsViewer, KeptLayouts, Stopping
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import only_reads
from openagents_json.server.http.preferences import (
    WaitSeconds,
    has_ended,
    has_moved,
)
from openagents_json.server.http.replies import LINES_TOO, Lines, Reply, WantsLines
from openagents_json.server.http.run_queries import RunPageQuery, RunQuery, RunSearch

router = APIRouter(route_class=StrictRoute, tags=["runs"])

LAST_VERSION: Final = 2**53
"""No run has so many events; a greater number is no position for the store."""


class RunList(BaseModel):
    """A page of runs, newest first, and where the next begins; empty where there is none."""

    items: list[RunRow]
    next: str


class RunCount(BaseModel):
    """How many runs there are."""

    count: int


class StatusCounts(BaseModel):
    """How many runs there are of each status."""

    counts: dict[str, int]


class RunId(BaseModel):
    """The whole id of a run."""

    id: str


class RunStatus(BaseModel):
    """A run that has not ended, and how it stands."""

    id: str
    status: str


class History(BaseModel):
    """Events of a run, oldest first, and the version behind which the next page begins; 0 where there is none."""

    items: list[HistoryEvent]
    next: int


@router.get(
    "/runs", operation_id="listRuns", response_model=RunList, responses=LINES_TOO
)
def list_runs(
    query: Annotated[RunPageQuery, Query()], engine: AsViewer, by_lines: WantsLines
) -> Response:
    """List runs, newest first; all of them where the caller accepts lines of JSON."""
    if by_lines:
        return Lines(_pages(query, engine))
    return Reply(_page(query, engine))


@router.post("/runs/search", operation_id="searchRuns", response_model=RunList)
@only_reads
def search_runs(query: RunSearch, engine: AsViewer) -> Response:
    """List runs, newest first, by a filter that is too long for an address."""
    return Reply(_page(query, engine))


def _page(query: RunPageQuery, engine: Engine) -> RunPage:
    chosen = query.filter()
    moment_ms = query.as_of_ms
    if moment_ms is None:
        return engine.views.runs(chosen, limit=query.limit, after=query.after)
    return engine.views.as_of(moment_ms, chosen, limit=query.limit, after=query.after)


def _pages(query: RunPageQuery, engine: Engine) -> Iterator[Sequence[RunRow]]:
    """Return the runs from a page on, by pages."""
    page = _page(query, engine)
    yield page.items
    while page.next:
        page = _page(query.model_copy(update={"after": page.next}), engine)
        yield page.items


@router.get("/runs/count", operation_id="countRuns", response_model=RunCount)
def count_runs(query: Annotated[RunQuery, Query()], engine: AsViewer) -> Response:
    """Count runs."""
    return Reply({"count": engine.views.count(query.filter())})


@router.get(
    "/runs/counts", operation_id="countRunsByStatus", response_model=StatusCounts
)
def count_by_status(query: Annotated[RunQuery, Query()], engine: AsViewer) -> Response:
    """Count the runs of each status, or of those that are asked for."""
    chosen = query.filter()
    counts: dict[str, int] = {}
    for status in query.status or STATUSES:
        # The first count is as new as the log; the others are of the same view, a moment later.
        narrowed = replace(chosen, status=(status,))
        counts[status] = engine.views.count(narrowed, stale=bool(counts))
    return Reply({"counts": counts})


@router.get(
    "/runs/{run}",
    operation_id="getRun",
    response_model=RunInfo,
    responses={202: {"model": RunInfo, "description": "The run goes on."}},
)
async def get_run(
    run: str, engine: AsViewer, wait_seconds: WaitSeconds, stopping: Stopping
) -> Response:
    """Return a run as it is; with `Prefer: wait=30` when it has ended, or after so many seconds."""
    if not wait_seconds:
        return Reply(await run_in_threadpool(engine.state, run))
    ended = await has_ended(engine, run, wait_seconds, stopping)
    info = await run_in_threadpool(engine.state, run)
    if ended:
        return Reply(info)
    return Reply(info, 202, {"Retry-After": "1"})


@router.get(
    "/runs/{run}/result",
    operation_id="getRunResult",
    response_model=Result,
    responses={202: {"model": RunStatus, "description": "The run goes on."}},
)
async def get_result(
    run: str, engine: AsViewer, wait_seconds: WaitSeconds, stopping: Stopping
) -> Response:
    """Return how a run ended, without its steps; with `Prefer: wait=30` when it has, or after so many seconds."""
    if wait_seconds:
        await has_ended(engine, run, wait_seconds, stopping)
    try:
        return Reply(await run_in_threadpool(engine.wait, run, timeout=0))
    except WaitTimeout as error:
        status = {"id": run, "status": error.status}
        return Reply(status, 202, {"Retry-After": "1"})


@router.get(
    "/runs/{run}/history",
    operation_id="getRunHistory",
    response_model=History,
    responses=LINES_TOO,
)
async def get_history(
    run: str,
    engine: AsViewer,
    wait_seconds: WaitSeconds,
    stopping: Stopping,
    by_lines: WantsLines,
    after: Annotated[int, Query(ge=0, le=LAST_VERSION)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Response:
    """Return the events of a run behind a version, oldest first; with `Prefer: wait=30` as soon as there is one.

    All of them where the caller accepts lines of JSON.
    """
    if wait_seconds:
        await has_moved(engine, run, after, wait_seconds, stopping)
    if by_lines:
        return await run_in_threadpool(Lines, _events(engine, run, after, limit))
    events = await run_in_threadpool(engine.history, run, after=after, limit=limit)
    is_full = len(events) == limit
    return Reply({"items": events, "next": events[-1].version if is_full else 0})


def _events(
    engine: Engine, run: str, after: int, at_a_time: int
) -> Iterator[Sequence[HistoryEvent]]:
    """Return the events of a run behind a version, by pages."""
    while events := engine.history(run, after=after, limit=at_a_time):
        yield events
        if len(events) < at_a_time:
            return
        after = events[-1].version


@router.get("/runs/{run}/id", operation_id="getRunId", response_model=RunId)
def get_id(run: str, engine: AsViewer) -> Response:
    """Return the whole id of the run whose id begins like that; what begins none is given back."""
    is_beginning = run.partition("-")[0].isdecimal()
    return Reply({"id": engine.views.run_of(run) if is_beginning else run})


@router.get("/runs/{run}/state", operation_id="getRunAt", response_model=RunInfo)
def get_state(
    run: str,
    engine: AsViewer,
    version: Annotated[int | None, Query(ge=1)] = None,
    time_ms: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """Return a run as it was after an event, or at a time."""
    return Reply(engine.replay.state_at(run, version=version, time_ms=time_ms))


@router.get("/runs/{run}/steps", operation_id="getRunSteps", response_model=Overview)
def get_steps(run: str, engine: AsViewer) -> Response:
    """Return the steps of a run with how long they took, and what they wait for."""
    return Reply(engine.overview(run))


@router.get(
    "/runs/{run}/timeline", operation_id="getRunTimeline", response_model=Timeline
)
def get_timeline(run: str, engine: AsViewer) -> Response:
    """Return when the steps of a run were worked on, and when they waited and for what."""
    return Reply(engine.timeline(run))


@router.get("/runs/{run}/layout", operation_id="getRunLayout", response_model=Layout)
def get_layout(run: str, engine: AsViewer, layouts: KeptLayouts) -> Response:
    """Return where the steps of a run stand in the picture of its workflow, which never changes."""
    return Reply(layouts.of_run(engine, run))


@router.get(
    "/runs/{run}/explanation",
    operation_id="explainRun",
    response_model=Explanation,
)
def explain(run: str, engine: AsViewer) -> Response:
    """Say why a run is as it is, and how it differs from the nearest one that completed."""
    return Reply(engine.explain(run))


@router.get("/runs/{run}/children", operation_id="getRunChildren")
def get_children(run: str, engine: AsViewer) -> dict[str, str]:
    """Return the runs that steps of a run have started, by step."""
    return dict(engine.state(run).children)


@router.get("/runs/{run}/diff/{other}", operation_id="diffRuns")
def diff(run: str, other: str, engine: AsViewer) -> Any:
    """Compare two runs."""
    return Reply(engine.replay.diff(run, other))
