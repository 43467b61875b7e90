"""The services as a part of an application that is somebody else's: routes, and what opens and ends them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import contextmanager_in_threadpool

from openagents_json.engine import Engine
from openagents_json.server.application import (
    PROBLEM,
    ROUTERS,
    Service,
    services_on,
)
from openagents_json.server.execution import inbound
from openagents_json.server.page import routes

Opening = Callable[[], AbstractContextManager[Engine]]
"""What opens an engine when the application begins."""


def openagents_router(
    engine: Engine | Opening,
    service: Service = "all",
    *,
    is_open: bool = False,
    page: bool = False,
) -> APIRouter:
    """Return the routes of a service for `app.include_router`, below `/v1`; the lifespan of the application opens them.

    `engine` is one that is open, and stays so, or what opens one, as `lambda: Engine.connect(URL)`: it is closed with
    the application. Requests need an API key of the store, unless the routes are `is_open` to everybody whom the
    application lets through. They answer what goes wrong as problems, and leave its other routes alone.
    With `page`, the web page is at `/` below the prefix that they are included with.
    """

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        opened = nullcontext(engine) if isinstance(engine, Engine) else engine()
        async with contextmanager_in_threadpool(opened) as here:
            app.state.openagents = services_on(here, is_open=is_open)
            try:
                yield
            finally:
                app.state.openagents.stopping.set()
                del app.state.openagents

    router = APIRouter(lifespan=lifespan)
    for part in ROUTERS[service]:
        router.include_router(part, prefix="/v1", responses={"default": PROBLEM})
    if service != "registry":
        router.include_router(inbound.router)
    if page:
        router.include_router(routes.router)
    return router
