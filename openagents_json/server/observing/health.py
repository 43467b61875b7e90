"""Whether a service lives, and whether it can work: that its port is open says little."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from openagents_json.server.http.access import services_of

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """How it stands with a service."""

    status: str


@router.get("/live", operation_id="live")
async def live() -> Health:
    """Say that the process answers."""
    return Health(status="ok")


@router.get("/ready", operation_id="ready")
def ready(request: Request) -> Health:
    """Say that the store answers, and that a thread is free to ask it; a problem (503) where it does not."""
    services_of(request).engine.now_ms()
    return Health(status="ok")
