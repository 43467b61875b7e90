"""Components: what workers have told the store of theirs."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from openagents_json.server.http.access import AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.replies import Reply

router = APIRouter(route_class=StrictRoute, tags=["components"])


@router.get("/components", operation_id="listComponents")
def list_components(engine: AsViewer) -> Any:
    """List what happened to the attempts of each component."""
    return Reply(engine.views.components())
