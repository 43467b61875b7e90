"""The applications: the registry service, the execution service, and both in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, Literal

from fastapi import APIRouter, FastAPI

from openagents_json.engine import Engine
from openagents_json.engine.diagnosis.progress import progress_of
from openagents_json.engine.telemetry.prometheus import PrometheusTelemetry
from openagents_json.server.execution import (
    api_keys,
    audit,
    hooks,
    inbound,
    leases,
    lists,
    live,
    queues,
    runs,
    schedules,
    starting,
    steering,
    webhooks,
)
from openagents_json.server.http.access import Services
from openagents_json.server.http.bodies import BoundedBodies
from openagents_json.server.http.known_keys import KnownKeys
from openagents_json.server.http.problems import ProblemDetails, add_problems
from openagents_json.server.http.security_headers import SecurityHeaders
from openagents_json.server.legacy import jobs, system
from openagents_json.server.legacy import workflows as documents
from openagents_json.server.observing import health, metrics
from openagents_json.server.observing.kept_progress import KeptProgress
from openagents_json.server.observing.metrics import CountedRequests
from openagents_json.server.observing.request_log import LoggedRequests
from openagents_json.server.page import routes as page
from openagents_json.server.registry import components, workflows

if TYPE_CHECKING:
    from openagents_json.server.oidc.tokens import BearerTokens

Service = Literal["all", "execution", "registry"]

# Fixed paths such as /runs/search stand before those with the id of a run.
_EXECUTION: Final = (
    starting.router,
    runs.router,
    steering.router,
    live.router,
    lists.router,
    schedules.router,
    leases.router,
    hooks.router,
    webhooks.router,
    api_keys.router,
    audit.router,
    queues.router,
)
_REGISTRY: Final = (workflows.router, components.router)
ROUTERS: Final[Mapping[Service, Sequence[APIRouter]]] = {
    "all": (*_EXECUTION, *_REGISTRY),
    "execution": _EXECUTION,
    "registry": _REGISTRY,
}
_LEGACY: Final[Mapping[Service, Sequence[APIRouter]]] = {
    "all": (jobs.router, documents.router, system.router),
    "execution": (jobs.router, system.router),
    "registry": (documents.router, system.router),
}
"""The paths of 0.1.4."""

_TITLES: Final[Mapping[Service, str]] = {
    "all": "OpenAgents JSON",
    "execution": "OpenAgents JSON: execution service",
    "registry": "OpenAgents JSON: registry service",
}
_ID_BYTES: Final = 16
PROBLEM: Final = {
    "model": ProblemDetails,
    "content": {"application/problem+json": {}},
    "description": "What went wrong, and what to do (RFC 9457).",
}


def random_id() -> str:
    """Return an id that nobody else gives."""
    return token_hex(_ID_BYTES)


def create_app(
    engine: Engine,
    service: Service = "all",
    *,
    is_open: bool = False,
    new_request_id: Callable[[], str] = random_id,
    tokens: BearerTokens | None = None,
) -> FastAPI:
    """Return a service as an ASGI application on an engine, which stays open as long as it is served.

    Requests need an API key of the store, or one of the `tokens` that are taken, unless the service `is_open` to
    everybody who reaches it. Both services in one have the web page at `/`, which anybody may load: it asks for a key
    where one is needed.
    """
    app = _app(service)
    if service == "all":
        app.include_router(page.router)
    services = services_on(engine, is_open=is_open, tokens=tokens)
    app.state.openagents = services
    app.add_middleware(BoundedBodies)
    app.add_middleware(SecurityHeaders)
    # The outermost: what the others answer is counted, too, and logged.
    steady_ms = engine.clock.steady_ms
    app.add_middleware(CountedRequests, telemetry=services.metrics, steady_ms=steady_ms)
    app.add_middleware(LoggedRequests, steady_ms=steady_ms, new_id=new_request_id)
    return app


def services_on(
    engine: Engine, *, is_open: bool, tokens: BearerTokens | None = None
) -> Services:
    """Return what requests are answered with on an engine."""
    keys = KnownKeys(engine.api_keys.find, engine.clock.steady_ms)
    return Services(
        engine,
        None if is_open else keys,
        engine.log_positions,
        _metrics_of(engine),
        KeptProgress(lambda: progress_of(engine), engine.clock.steady_ms),
        tokens=tokens,
    )


def _metrics_of(engine: Engine) -> PrometheusTelemetry:
    """Return what keeps the numbers of a service: with those of its engine, where that tells them to it."""
    telemetry = engine.telemetry
    if isinstance(telemetry, PrometheusTelemetry):
        return telemetry
    return PrometheusTelemetry()


def document(service: Service) -> dict[str, Any]:
    """Return the OpenAPI document of a service."""
    return _app(service).openapi()


def _app(service: Service) -> FastAPI:
    """Return a service without an engine."""
    app = FastAPI(
        title=_TITLES[service],
        version=version("openagents-json"),
        summary="Durable workflows from JSON documents, on Redis Streams.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    for router in ROUTERS[service]:
        app.include_router(router, prefix="/v1", responses={"default": PROBLEM})
    for router in _LEGACY[service]:
        app.include_router(router, prefix="/api", responses={"default": PROBLEM})
    if service != "registry":
        app.include_router(inbound.router)
    app.include_router(health.router, responses={"default": PROBLEM})
    app.include_router(metrics.router, responses={"default": PROBLEM})
    add_problems(app)
    return app
