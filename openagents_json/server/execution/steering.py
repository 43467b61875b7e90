"""What is done to runs: each is a command of the engine, and answers with the run as it is then."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from openagents_json.engine import RunInfo
from openagents_json.server.execution.starting import StartedRun
from openagents_json.server.http.access import AsAdmin, AsOperator
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import IdempotencyKey
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body, Whole
from openagents_json.server.http.workflows import Workflow, document_of

router = APIRouter(route_class=StrictRoute, tags=["steering"])


class Reasoned(Body):
    """Why something is done; it is kept in the history."""

    reason: str = Field(default="", max_length=10_000)


class CancelRequest(Reasoned):
    """How a run is to end."""

    force: bool = Field(default=False, description="Without a grace period for steps.")
    compensate: bool = True


class RetryRequest(Reasoned):
    """From where a closed run goes on; inputs replace some of those that it has."""

    step: str = ""
    inputs: dict[str, Any] | None = None
    workflow: Workflow | None = None


class RerunRequest(Reasoned):
    """With what a closed run is done again."""

    inputs: dict[str, Any] | None = None


class ForkRequest(Reasoned):
    """Up to which event the past of the new run is that of the old one."""

    at: Whole = Field(ge=1)
    inputs: dict[str, Any] | None = None


class StepRequest(Reasoned):
    """The step that is meant."""

    step: str = Field(min_length=1)


class CompleteRequest(StepRequest):
    """What a step is to have returned."""

    output: Any = None


class SignalRequest(Reasoned):
    """What a signal says, and for whom it is sent."""

    payload: Any = None
    key: str | None = None
    by: str = ""


class RedactRequest(Reasoned):
    """What is erased for good: everything, or some steps or events."""

    steps: list[str] = Field(default=[])
    events: list[Whole] = Field(default=[])
    labels: bool = False


@router.post("/runs/{run}/cancel", operation_id="cancelRun", response_model=RunInfo)
def cancel(run: str, request: CancelRequest, engine: AsOperator) -> Response:
    """Ask a run to end; steps under way get a grace period unless forced."""
    engine.cancel(
        run, request.reason, force=request.force, compensate=request.compensate
    )
    return Reply(engine.state(run))


@router.post("/runs/{run}/pause", operation_id="pauseRun", response_model=RunInfo)
def pause(run: str, request: Reasoned, engine: AsOperator) -> Response:
    """Start nothing more of a run; steps under way finish."""
    engine.pause(run, request.reason)
    return Reply(engine.state(run))


@router.post("/runs/{run}/resume", operation_id="resumeRun", response_model=RunInfo)
def resume(run: str, request: Reasoned, engine: AsOperator) -> Response:
    """Let a paused run go on."""
    engine.resume(run, request.reason)
    return Reply(engine.state(run))


@router.post("/runs/{run}/retry", operation_id="retryRun", response_model=RunInfo)
def retry(run: str, request: RetryRequest, engine: AsOperator) -> Response:
    """Let a closed run go on from what failed, or from a step; all other results are kept."""
    workflow = None if request.workflow is None else document_of(request.workflow)
    engine.retry(
        run,
        step=request.step,
        inputs=request.inputs,
        reason=request.reason,
        workflow=workflow,
    )
    return Reply(engine.state(run))


@router.post("/runs/{run}/rerun", operation_id="rerunRun", response_model=RunInfo)
def rerun(run: str, request: RerunRequest, engine: AsOperator) -> Response:
    """Do a closed run again, but for what has not changed."""
    engine.replay.replay(run, inputs=request.inputs, reason=request.reason)
    return Reply(engine.state(run))


@router.post(
    "/runs/{run}/fork",
    status_code=201,
    operation_id="forkRun",
    response_model=StartedRun,
)
def fork(
    run: str,
    request: ForkRequest,
    engine: AsOperator,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Begin a new run with the same past up to an event."""
    forked = engine.replay.fork(
        run,
        request.at,
        inputs=request.inputs,
        reason=request.reason,
        idempotency_key=idempotency_key,
    )
    return Reply({"id": forked}, 201, {"Location": f"/v1/runs/{forked}"})


@router.post("/runs/{run}/skip", operation_id="skipStep", response_model=RunInfo)
def skip(run: str, request: StepRequest, engine: AsOperator) -> Response:
    """Let a run go on as if a step had been skipped."""
    engine.replay.skip(run, request.step, request.reason)
    return Reply(engine.state(run))


@router.post(
    "/runs/{run}/complete", operation_id="completeStep", response_model=RunInfo
)
def complete(run: str, request: CompleteRequest, engine: AsOperator) -> Response:
    """Let a run go on as if a step had returned something."""
    engine.replay.complete(run, request.step, request.output, request.reason)
    return Reply(engine.state(run))


@router.post(
    "/runs/{run}/signal/{name}", operation_id="signalRun", response_model=RunInfo
)
def signal(
    run: str,
    name: str,
    request: SignalRequest,
    engine: AsOperator,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Send a signal to a run, which keeps it until a step takes it."""
    engine.signal(
        run,
        name,
        request.payload,
        key=request.key,
        by=request.by,
        reason=request.reason,
        idempotency_key=idempotency_key,
    )
    return Reply(engine.state(run))


@router.post("/runs/{run}/hold", operation_id="holdRun", response_model=RunInfo)
def hold(run: str, request: Reasoned, engine: AsAdmin) -> Response:
    """Let nothing of a run be erased."""
    engine.archive.hold(run, request.reason)
    return Reply(engine.state(run))


@router.post("/runs/{run}/release", operation_id="releaseRun", response_model=RunInfo)
def release(run: str, request: Reasoned, engine: AsAdmin) -> Response:
    """Let a held run be erased again."""
    engine.archive.release(run, request.reason)
    return Reply(engine.state(run))


@router.post("/runs/{run}/redact", operation_id="redactRun")
def redact(run: str, request: RedactRequest, engine: AsAdmin) -> Any:
    """Erase for good what a closed run worked with; its course stays on record."""
    done = engine.redact(
        run,
        request.reason,
        steps=request.steps,
        events=request.events,
        labels=request.labels,
    )
    return Reply(done)


@router.delete("/runs/{run}", status_code=204, operation_id="deleteRun")
def delete(
    run: str,
    engine: AsAdmin,
    reason: Annotated[str, Query(max_length=10_000)] = "",
) -> Response:
    """Delete a closed run for good; that it was there, and who deleted it, stays."""
    engine.delete(run, reason)
    return Response(status_code=204)
