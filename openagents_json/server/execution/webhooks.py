"""Webhooks: who is told of events of runs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from openagents_json.engine.answers.webhooks import WebhookInfo
from openagents_json.engine.webhooks.spec import WebhookSpec
from openagents_json.server.http.access import AsDeveloper, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.replies import Reply

router = APIRouter(route_class=StrictRoute, tags=["webhooks"])


@router.get("/webhooks", operation_id="listWebhooks", response_model=list[WebhookInfo])
def list_webhooks(engine: AsViewer) -> Response:
    """List the webhooks; their deliveries are runs of `openagents-webhook`, with the label `webhook`."""
    return Reply(engine.webhooks.every())


@router.get("/webhooks/{name}", operation_id="getWebhook", response_model=WebhookInfo)
def get_webhook(name: str, engine: AsViewer) -> Response:
    """Return a webhook."""
    return Reply(engine.webhooks.get(name))


@router.put("/webhooks/{name}", operation_id="putWebhook", response_model=WebhookInfo)
def put_webhook(name: str, request: WebhookSpec, engine: AsDeveloper) -> Response:
    """Register a webhook, or replace it: it is told of what happens from now on."""
    spec = request.model_dump(mode="json", exclude_unset=True)
    return Reply(engine.webhooks.register(name, spec))


@router.delete("/webhooks/{name}", status_code=204, operation_id="deleteWebhook")
def delete_webhook(name: str, engine: AsDeveloper) -> Response:
    """Remove a webhook; deliveries that have begun go on."""
    engine.webhooks.delete(name)
    return Response(status_code=204)
