"""API keys: who may call the services, and as what."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from openagents_json.engine.api_keys import ApiKey, NewApiKey
from openagents_json.server.http.access import AsAdmin
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body, LongSeconds

router = APIRouter(route_class=StrictRoute, tags=["keys"])

_NOT_KEPT = {"Cache-Control": "no-store"}


class KeyRequest(Body):
    """Whose key it is, what it may do, for how long, and how many requests it may send: 100/s, 6000/m, 10000/h."""

    name: str = Field(min_length=1)
    role: str = Field(min_length=1)
    lasts_seconds: LongSeconds | None = None
    rate: str = ""


class RateRequest(Body):
    """How many requests a key may send; empty for as many as it likes."""

    rate: str


@router.get("/api-keys", operation_id="listApiKeys", response_model=list[ApiKey])
def list_keys(engine: AsAdmin) -> Response:
    """List the API keys, without their secrets."""
    return Reply(engine.api_keys.every())


@router.put("/api-keys/{key}", operation_id="putApiKey", response_model=NewApiKey)
def put_key(key: str, request: KeyRequest, engine: AsAdmin) -> Response:
    """Make a key under an id of twelve hexadecimal digits, and give its secret, which nobody can show again.

    It is put and not posted: an answer that is kept for a request sent again would hold the secret. Put again, the key
    gets another secret, and the one before counts no more.
    """
    lasts_ms = None if request.lasts_seconds is None else request.lasts_seconds * 1000
    created = engine.api_keys.create(
        request.name, request.role, lasts_ms=lasts_ms, rate=request.rate, key_id=key
    )
    return Reply(created, headers=_NOT_KEPT)


@router.post("/api-keys/{key}/limit", operation_id="limitApiKey", response_model=ApiKey)
def limit_key(key: str, request: RateRequest, engine: AsAdmin) -> Response:
    """Bound the requests that a key may send, over all instances together."""
    return Reply(engine.api_keys.limit(key, request.rate))


@router.delete("/api-keys/{key}", status_code=204, operation_id="deleteApiKey")
def delete_key(key: str, engine: AsAdmin) -> Response:
    """Take a key back; it counts no more, everywhere within two seconds."""
    engine.api_keys.revoke(key)
    return Response(status_code=204)
