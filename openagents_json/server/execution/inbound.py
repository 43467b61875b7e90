"""Where other services post their deliveries: who sends one is told by its signature, and not by an API key."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from openagents_json.engine import OpenAgentsError
from openagents_json.engine.answers.hooks import ReceivedDelivery
from openagents_json.engine.hooks.incoming import MOST_BODY_BYTES, Incoming
from openagents_json.server.http.access import services_of
from openagents_json.server.http.bodies import bounded
from openagents_json.server.http.problems import of_error
from openagents_json.server.http.replies import Reply

router = APIRouter(tags=["hooks"])

_ACCEPTED: Final = 202


# It is in no OpenAPI document: what is posted is for the sender to say.
@router.post("/hooks/{name}", include_in_schema=False)
async def receive_delivery(name: str, request: Request) -> Response:
    """Take a delivery to a hook."""
    try:
        receive = bounded(request.scope, request.receive, MOST_BODY_BYTES)
        body = await Request(request.scope, receive).body()
        incoming = Incoming(_headers(request), body)
        hooks = services_of(request).engine.hooks
        received = await run_in_threadpool(hooks.receive, name, incoming)
    except OpenAgentsError as error:
        return of_error(error)
    if received.challenge:
        return Reply({"challenge": received.challenge})
    return Reply(received, _status(received))


def _status(received: ReceivedDelivery) -> int:
    has_begun = received.run and not received.repeated
    return _ACCEPTED if has_begun else 200


def _headers(request: Request) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in request.scope["headers"]
    ]
