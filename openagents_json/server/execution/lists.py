"""What there is beside runs: failures, waits for people, steps under way, workers."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from openagents_json.engine.answers.lists import FailureClass, OpenStep, UsageRow
from openagents_json.engine.answers.waits import WaitingStep
from openagents_json.server.http.access import AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.replies import Reply

router = APIRouter(route_class=StrictRoute, tags=["lists"])


@router.get("/failures", operation_id="listFailures", response_model=list[FailureClass])
def failures(engine: AsViewer) -> Response:
    """List the classes of failures, the latest first."""
    return Reply(engine.views.failures())


@router.get("/waiting", operation_id="listWaiting", response_model=list[WaitingStep])
def waiting(
    engine: AsViewer, limit: Annotated[int, Query(ge=1, le=1_000)] = 50
) -> Response:
    """List the steps of all runs that wait for a signal, longest first."""
    return Reply(engine.waiting(limit=limit))


@router.get("/steps", operation_id="listSteps", response_model=list[OpenStep])
def steps(engine: AsViewer, status: str = "", worker: str = "") -> Response:
    """List the steps under way in all runs."""
    return Reply(engine.views.steps(status=status, worker=worker))


@router.get("/usage", operation_id="listUsage", response_model=list[UsageRow])
def usage(engine: AsViewer, by: str = "workflow", workflow: str = "") -> Response:
    """List what attempts have used by workflow, step, model or label, the dearest first."""
    return Reply(engine.usage(by=by, workflow=workflow))


@router.get("/workers", operation_id="listWorkers")
def workers(engine: AsViewer) -> Any:
    """Return the live worker processes by name, with what each says of itself."""
    return Reply(engine.workers())
