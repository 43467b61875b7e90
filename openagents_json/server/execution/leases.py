"""Workers in any language: they claim steps, extend their leases, and say what came of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from openagents_json.engine.remote_work.leases import ClaimTerms
from openagents_json.engine.remote_work.values import (
    Failure,
    LeasedStep,
    LeaseState,
    Usage,
)
from openagents_json.server.http.access import AsWorker, Stopping
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import (
    IdempotencyKey,
    answers_repeats_itself,
)
from openagents_json.server.http.preferences import WaitSeconds
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body, Whole

router = APIRouter(route_class=StrictRoute, tags=["leases"])

MOST_COMPONENTS: Final = 500
MOST_AT_A_TIME: Final = 100

WorkerType = Annotated[
    str, Path(alias="type", pattern=r"^[a-zA-Z0-9_-]{1,100}$", examples=["tool"])
]
_ComponentName = Annotated[str, Field(min_length=1)]
Lease = Annotated[str, Path(description="The token of a lease, as the claim gave it.")]


def _example(body: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


class ClaimRequest(Body):
    """What a worker can run, and how much of it it would take.

    A component is `name@version`, a name that the catalog knows, or a spec, which is registered with it.
    """

    model_config = _example(
        {"components": ["greet@1.0.0"], "limit": 1, "lease_seconds": 30.0}
    )

    components: list[_ComponentName | dict[str, Any]] = Field(
        min_length=1, max_length=MOST_COMPONENTS
    )
    limit: Whole = Field(default=1, ge=1, le=MOST_AT_A_TIME)
    lease_seconds: float = Field(default=30.0, ge=0.3, le=3600.0)
    worker: str = Field(default="", pattern=r"^[a-zA-Z0-9_.-]{0,100}$")


class ClaimAnswer(BaseModel):
    """The steps that were claimed; none where none were ready in time."""

    steps: list[LeasedStep]


class UsageReport(Body):
    """What an attempt has used of a model."""

    model: str = Field(min_length=1, max_length=1_000)
    input_tokens: Whole = 0
    output_tokens: Whole = 0
    cost: float | str = 0


class _Outcome(Body):
    usage: list[UsageReport] = Field(default=[], max_length=100)

    def used(self) -> list[Usage]:
        """Return what the attempt has used."""
        return [Usage(**report.model_dump()) for report in self.usage]


class CompleteRequest(_Outcome):
    """What a step returned."""

    model_config = _example({"output": "Hello, Ada!"})

    output: Any = None


class FailureReport(Body):
    """Why a step failed, and whether another attempt may help."""

    message: str = Field(max_length=100_000)
    type: str = Field(default="Error", min_length=1, max_length=200)
    retryable: bool = True
    retry_after_ms: Whole = Field(default=0, ge=0, le=2**53 - 1)
    traceback: str = Field(default="", max_length=1_000_000)


class FailRequest(_Outcome):
    """Why a step failed."""

    model_config = _example(
        {"error": {"type": "Timeout", "message": "no answer", "retryable": True}}
    )

    error: FailureReport


class EmitRequest(Body):
    """Values that a step shows while it runs."""

    model_config = _example({"values": ["Hel", "lo"]})

    values: list[Any] = Field(min_length=1, max_length=1_000)


class ReleaseRequest(Body):
    """Why a step is given back."""

    model_config = _example({"reason": "the worker stops"})

    reason: str = Field(default="", max_length=1_000)


async def _gone(request: Request) -> None:
    """Wait until the caller has hung up: its body has been read, so nothing else comes."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


@router.post(
    "/queues/{type}/claim", operation_id="claimSteps", response_model=ClaimAnswer
)
@answers_repeats_itself
async def claim(
    worker_type: WorkerType,
    body: ClaimRequest,
    request: Request,
    engine: AsWorker,
    wait_seconds: WaitSeconds,
    stopping: Stopping,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Take steps that are ready under a lease each; with `Prefer: wait=30`, wait for some where there are none."""
    terms = ClaimTerms(
        worker_type,
        body.components,
        at_most=body.limit,
        lease_ms=round(body.lease_seconds * 1000),
        instance=body.worker,
        idempotency_key=idempotency_key,
    )
    claimed = await engine.leases.aclaim(
        terms,
        wait_ms=wait_seconds * 1000,
        gone=lambda: _gone(request),
        stopping=stopping,
    )
    headers = {"Idempotency-Replayed": "true"} if claimed.is_replayed else {}
    return Reply({"steps": claimed.steps}, 200, headers)


@router.post(
    "/leases/{lease}/heartbeat",
    operation_id="heartbeatLease",
    response_model=LeaseState,
)
def heartbeat(lease: Lease, engine: AsWorker) -> Response:
    """Extend a lease; the answer asks the worker to stop where the run is cancelled."""
    return Reply(engine.leases.heartbeat(lease))


@router.post("/leases/{lease}/complete", status_code=204, operation_id="completeLease")
def complete(lease: Lease, body: CompleteRequest, engine: AsWorker) -> Response:
    """Record what a step returned; sent again, it is answered alike."""
    engine.leases.complete(lease, body.output, usage=body.used())
    return Response(status_code=204)


@router.post("/leases/{lease}/fail", status_code=204, operation_id="failLease")
def fail(lease: Lease, body: FailRequest, engine: AsWorker) -> Response:
    """Record that a step failed; it is tried again as its document says, unless that is not `retryable`."""
    engine.leases.fail(lease, Failure(**body.error.model_dump()), usage=body.used())
    return Response(status_code=204)


@router.post(
    "/leases/{lease}/emit", operation_id="emitOfLease", response_model=LeaseState
)
def emit(lease: Lease, body: EmitRequest, engine: AsWorker) -> Response:
    """Show values of a step to whoever follows its run; that extends the lease too."""
    return Reply(engine.leases.emit(lease, body.values))


@router.post("/leases/{lease}/release", status_code=204, operation_id="releaseLease")
def release(lease: Lease, body: ReleaseRequest, engine: AsWorker) -> Response:
    """Give a step back for others, as at the end of a worker."""
    engine.leases.release(lease, body.reason)
    return Response(status_code=204)
