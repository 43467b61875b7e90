"""Who may call: API keys with a role each, or everybody where the service is open."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPBearer
from fastapi.security.base import SecurityBase

from openagents_json.engine import ApiKey, Engine
from openagents_json.engine.consistency.positions import LogPositions
from openagents_json.engine.pictures.layout import Layouts
from openagents_json.engine.steering.requests import CarriedRequest
from openagents_json.engine.telemetry.prometheus import PrometheusTelemetry
from openagents_json.server.errors import RoleTooLow, ServicesNotReady, Unauthenticated
from openagents_json.server.http.known_keys import KnownKeys
from openagents_json.server.http.rates import count
from openagents_json.server.observing.kept_progress import KeptProgress

# Who takes no tokens needs not what checks them.
if TYPE_CHECKING:
    from openagents_json.server.oidc.tokens import BearerTokens

API_KEY: Final = "oak_"
"""How API keys begin, and tokens do not."""


class Role(IntEnum):
    """What a caller may do; each role may do what those before it may, but for the worker's.

    A worker runs steps and nothing else: it sees what they are given, and says what came of them.
    """

    WORKER = 0
    VIEWER = 1
    OPERATOR = 2
    DEVELOPER = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: the name that stands in histories, the roles that it has, and its API key, if it has one."""

    actor: str
    roles: frozenset[Role]
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class Services:
    """What requests are answered with: the engine, and the keys; None where the service is open to everybody.

    Who waits stops waiting once the service is `stopping`: another instance goes on where this one was.
    """

    engine: Engine
    keys: KnownKeys | None
    positions: LogPositions
    metrics: PrometheusTelemetry
    progress: KeptProgress
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    layouts: Layouts = field(default_factory=Layouts)
    tokens: BearerTokens | None = None


def services_of(request: Request) -> Services:
    """Return what requests of an application are answered with.

    Raises ServicesNotReady.
    """
    services: Services | None = getattr(request.app.state, "openagents", None)
    if services is None:
        raise ServicesNotReady
    return services


# Without `async`, FastAPI would call what is depended on in a thread.
async def _stopping(request: Request) -> asyncio.Event:
    return services_of(request).stopping


Stopping = Annotated[asyncio.Event, Depends(_stopping)]


async def _layouts(request: Request) -> Layouts:
    return services_of(request).layouts


KeptLayouts = Annotated[Layouts, Depends(_layouts)]


_bearer: Final = HTTPBearer(
    auto_error=False,
    description="An API key of the store (`openagents api-keys`), or a token of the identity provider.",
)


async def identify(request: Request) -> None:
    """Find out who sends a request, before its body is read: nobody else's is held and parsed here.

    Raises Unauthenticated, TokenRefused, IssuerUnreachable, TooManyRequests and StoreUnavailable.
    """
    services = services_of(request)
    if services.keys is None:
        return
    credentials = await _bearer(request)
    if credentials is None:
        raise Unauthenticated("the request has no API key")
    secret = credentials.credentials
    if services.tokens is not None and not secret.startswith(API_KEY):
        request.state.caller = await _bearer_of(services.tokens, secret)
        return
    key = await key_of(services.keys, secret)
    role = Role[key.role.upper()]
    request.state.caller = Caller(f"key:{key.name}", frozenset({role}), key.id)
    if key.rate:
        await count(request, services.engine.api_keys, key)


async def _bearer_of(tokens: BearerTokens, token: str) -> Caller:
    """Return who bears a token; a role that there is not gives nothing."""
    bearer = await run_in_threadpool(tokens.bearer, token)
    roles = frozenset(role for role in Role if role.name.lower() in bearer.roles)
    return Caller(f"oidc:{bearer.subject}", roles)


class Acting(SecurityBase):
    """Gives the engine in the name of the caller, who needs a role; documents say how one shows who it is.

    It is the scheme itself, and does not depend on one: each thing that is depended on costs a request its time.
    """

    def __init__(self, needed: Role) -> None:
        self.needed_role = needed
        self.model = _bearer.model
        self.scheme_name = _bearer.scheme_name

    async def __call__(self, request: Request) -> Engine:
        """Return the engine."""
        acting = engine_of(request, self.needed_role)
        carried: CarriedRequest | None = getattr(request.state, "carried", None)
        if carried is None:
            return acting
        return acting.once(carried.commit, carried.after, carried.found)


def engine_of(request: Request, needed: Role) -> Engine:
    """Return the engine in the name of the caller of a request.

    Raises RoleTooLow and ServicesNotReady.
    """
    services = services_of(request)
    if services.keys is None:
        return services.engine
    caller: Caller = request.state.caller
    if not any(_may(role, needed) for role in caller.roles):
        raise RoleTooLow(caller.actor, needed.name.lower())
    return services.engine.acting_as(caller.actor)


def _may(role: Role, needed: Role) -> bool:
    if needed is Role.WORKER:
        return role in (Role.WORKER, Role.ADMIN)
    return role >= needed


async def key_of(keys: KnownKeys, secret: str) -> ApiKey:
    """Return the API key of a secret, without leaving the event loop where it is known.

    Raises Unauthenticated and StoreUnavailable.
    """
    key = keys.known(secret)
    if key is None:
        key = await run_in_threadpool(keys.find, secret)
    if key is None:
        raise Unauthenticated("the API key is none of this store, or has expired")
    return key


AsViewer = Annotated[Engine, Depends(Acting(Role.VIEWER))]
AsOperator = Annotated[Engine, Depends(Acting(Role.OPERATOR))]
AsDeveloper = Annotated[Engine, Depends(Acting(Role.DEVELOPER))]
AsWorker = Annotated[Engine, Depends(Acting(Role.WORKER))]
AsAdmin = Annotated[Engine, Depends(Acting(Role.ADMIN))]
