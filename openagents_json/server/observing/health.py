"""What is told to probes: that a port is open says little."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from openagents_json.engine.diagnosis.progress import ProgressCheck
from openagents_json.server.errors import ProgressStalled
from openagents_json.server.http.access import services_of

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """How it stands with a service."""

    status: str


class Readiness(BaseModel):
    """How it stands with a service and its store; `degraded` where runs make no progress, which `checks` explain."""

    status: Literal["ok", "degraded"]
    checks: list[ProgressCheck]


@router.get("/live", operation_id="live")
async def live() -> Health:
    """Say that the process answers."""
    return Health(status="ok")


@router.get("/ready", operation_id="ready")
def ready(
    request: Request,
    strict: Annotated[
        bool, Query(description="Answer 503 where runs make no progress.")
    ] = False,
) -> Readiness:
    """Say that the store answers, and a thread is free to ask it (a problem, 503, where not), and whether runs go on.

    Where they do not, other instances would see the same, and can still start, show and steer runs: so the status of
    the answer is 200 all the same, unless it is to be `strict`.
    """
    services = services_of(request)
    services.engine.now_ms()  # not kept: this instance is to leave its balancer at once
    checks = services.progress.checks()
    failed = [check.detail for check in checks if not check.ok]
    if failed and strict:
        raise ProgressStalled("; ".join(failed))
    return Readiness(status="degraded" if failed else "ok", checks=[*checks])
