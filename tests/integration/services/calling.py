"""A service on a store of its own, and somebody who calls it."""

from __future__ import annotations

import functools
import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from httpx import Client

from openagents_json import Context, tool
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine
from openagents_json.engine.hooks.actions import StartsAndSignals
from openagents_json.engine.hooks.incoming import Incoming
from openagents_json.engine.hooks.service import Hooks
from openagents_json.server.application import Service, create_app, document
from openagents_json.server.http_protocol import BoundedHeads
from tests.conftest import Server, wait_for

GREETING = {
    "id": "greeting",
    "version": "1.0.0",
    "inputs": {"name": {"type": "string"}},
    "steps": [
        {"id": "say", "component": "greet", "inputs": {"name": "{{input.name}}"}}
    ],
    "output": "{{say.output}}",
}
ASKING = {
    "id": "asking",
    "steps": [{"id": "ask", "wait_for": {"signal": "answer"}}],
    "output": "{{ask.output}}",
}
BREAKING = {"id": "breaking", "steps": [{"id": "fall", "component": "breaks"}]}
TALKING = {"id": "talking", "steps": [{"id": "talk", "component": "talks"}]}


@functools.cache
def document_of(service: Service) -> dict[str, Any]:
    """Return the OpenAPI document of a service; made once, as that takes half a second."""
    return document(service)


def greet(name: str) -> str:
    return f"Hello, {name}!"


def breaks() -> None:
    raise ValueError("it broke")


def talks(context: Context) -> None:
    for word in range(3):
        context.emit(word)


def registry() -> Registry:
    components = Registry()
    components.add(tool("greet")(greet))
    components.add(tool("breaks")(breaks))
    components.add(tool("talks")(talks))
    return components


@contextmanager
def engine_on(server: Server, **options: Any) -> Iterator[Engine]:
    """An engine that works on a store of its own."""
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=registry(),
        workers=2,
        partitions=2,
        actor="owner",
        **options,
    ) as engine:
        yield engine


def deliver(engine: Engine, hook: str, delivery: str) -> None:
    """Register a hook that starts what asks, and send it something."""
    signature = {"preset": "github", "secrets": ["HOOK"]}
    spec = {"signature": signature, "start": {"workflow": "asking"}}
    engine.hooks.register(hook, spec)
    digest = hmac.new(b"secret", b"{}", "sha256").hexdigest()
    headers = {
        "x-hub-signature-256": f"sha256={digest}",
        "x-github-delivery": delivery,
    }
    hooks = Hooks(cast(StartsAndSignals, engine), {"HOOK": "secret"}.get)
    hooks.receive(hook, Incoming(list(headers.items()), b"{}"))


class _ServerOfThread(uvicorn.Server):
    """A server that a thread may run: signals are for the main one."""

    def install_signal_handlers(self) -> None:
        """Leave signals alone."""

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """Let who waits go on with another instance, as `openagents serve` does."""
        application: Any = self.config.app
        application.state.openagents.stopping.set()
        await super().shutdown(sockets=sockets)


@contextmanager
def serving_api(
    engine: Engine, *, is_open: bool = True, service: Service = "all"
) -> Iterator[str]:
    """Serve an engine on a port of this machine, and give its URL."""
    with serving_app(create_app(engine, service, is_open=is_open)) as url:
        yield url


@contextmanager
def serving_app(app: FastAPI) -> Iterator[str]:
    """Serve an application on a port of this machine, and give its URL."""
    config = uvicorn.Config(
        app,
        port=0,
        http=BoundedHeads,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = _ServerOfThread(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def calling(
    engine: Engine, *, is_open: bool = True, secret: str = ""
) -> Iterator[Client]:
    """Serve an engine, and give who calls it."""
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    with (
        serving_api(engine, is_open=is_open) as url,
        Client(base_url=url, headers=headers, timeout=120) as client,
    ):
        yield client
