"""Inbound hooks: what they are asked to do, and what was sent to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from openagents_json.engine.answers.hooks import Delivery, HookInfo, ReceivedDelivery
from openagents_json.engine.hooks.spec import HookSpec
from openagents_json.server.http.access import AsDeveloper, AsOperator, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import IdempotencyKey
from openagents_json.server.http.replies import Reply

router = APIRouter(route_class=StrictRoute, tags=["hooks"])


@router.get("/hooks", operation_id="listHooks", response_model=list[HookInfo])
def list_hooks(engine: AsViewer) -> Response:
    """List the inbound hooks."""
    return Reply(engine.hooks.every())


@router.get("/hooks/{name}", operation_id="getHook", response_model=HookInfo)
def get_hook(name: str, engine: AsViewer) -> Response:
    """Return an inbound hook."""
    return Reply(engine.hooks.get(name))


@router.put("/hooks/{name}", operation_id="putHook", response_model=HookInfo)
def put_hook(name: str, request: HookSpec, engine: AsDeveloper) -> Response:
    """Register an inbound hook, or replace it; deliveries are posted to `/hooks/{name}`."""
    spec = request.model_dump(mode="json", exclude_unset=True)
    return Reply(engine.hooks.register(name, spec))


@router.delete("/hooks/{name}", status_code=204, operation_id="deleteHook")
def delete_hook(name: str, engine: AsDeveloper) -> Response:
    """Remove an inbound hook with what was sent to it; its runs go on."""
    engine.hooks.delete(name)
    return Response(status_code=204)


@router.get(
    "/hooks/{name}/deliveries",
    operation_id="listDeliveries",
    response_model=list[Delivery],
)
def list_deliveries(
    name: str,
    engine: AsViewer,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 50,
) -> Response:
    """List the newest deliveries to a hook, without what they said."""
    return Reply(engine.hooks.deliveries(name, limit=limit))


@router.get(
    "/hooks/{name}/deliveries/{delivery}",
    operation_id="getDelivery",
    response_model=Delivery,
)
def get_delivery(name: str, delivery: str, engine: AsOperator) -> Response:
    """Return a delivery with its body and headers; what proves who sent it is masked."""
    return Reply(engine.hooks.delivery(name, delivery))


@router.post(
    "/hooks/{name}/deliveries/{delivery}/replay",
    operation_id="replayDelivery",
    response_model=ReceivedDelivery,
)
def replay_delivery(
    name: str,
    delivery: str,
    engine: AsOperator,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Carry a delivery out again, as the hook is now."""
    return Reply(engine.hooks.replay(name, delivery, idempotency_key=idempotency_key))
