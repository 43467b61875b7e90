"""Queues: what waits in each, who takes it, and what workers were told to do with it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from openagents_json.engine.worker_types.control import WorkerOrder
from openagents_json.engine.worker_types.queues import Queue, queue_of, queues_of
from openagents_json.server.execution.steering import Reasoned
from openagents_json.server.http.access import AsOperator, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Slots

router = APIRouter(route_class=StrictRoute, tags=["queues"])


class LimitRequest(Reasoned):
    """How many steps of a queue each worker may run at a time; null is as many as it has slots."""

    at_most: Slots | None


@router.get("/queues", operation_id="listQueues", response_model=list[Queue])
def list_queues(engine: AsViewer) -> Response:
    """List the queues: how many steps wait in each and for how long, who takes them, and whether it is paused."""
    return Reply(queues_of(engine))


@router.get("/queues/{name}", operation_id="getQueue", response_model=Queue)
def get_queue(name: str, engine: AsViewer) -> Response:
    """Return a queue: how many steps are ready in it, as what scales its workers asks; one is there for any name."""
    return Reply(queue_of(engine, name))


@router.post(
    "/queues/{name}/pause", operation_id="pauseQueue", response_model=WorkerOrder
)
def pause_queue(name: str, request: Reasoned, engine: AsOperator) -> Response:
    """Let workers take no new steps of a queue, also those that begin later; what runs goes on."""
    return Reply(engine.control.pause(worker_type=name, reason=request.reason))


@router.post(
    "/queues/{name}/resume", operation_id="resumeQueue", response_model=WorkerOrder
)
def resume_queue(name: str, request: Reasoned, engine: AsOperator) -> Response:
    """Let workers take steps of a queue again."""
    return Reply(engine.control.resume(worker_type=name, reason=request.reason))


@router.post(
    "/queues/{name}/limit", operation_id="limitQueue", response_model=WorkerOrder
)
def limit_queue(name: str, request: LimitRequest, engine: AsOperator) -> Response:
    """Let each worker run so many steps of a queue at a time; it never has more slots than it began with."""
    order = engine.control.concurrency(
        request.at_most, worker_type=name, reason=request.reason
    )
    return Reply(order)


@router.get("/orders", operation_id="listOrders", response_model=list[WorkerOrder])
def list_orders(
    engine: AsViewer, limit: Annotated[int, Query(ge=1, le=10_000)] = 50
) -> Response:
    """List what workers were told, the latest first, with who said it and why."""
    return Reply(engine.control.log(limit))
