"""The services in an application of somebody else: routes, problems, keys, and an engine that lives as long as it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import PlainTextResponse

from openagents_json.client import Client
from openagents_json.engine import Engine, NotFound, OpenAgentsError
from openagents_json.server.embedding import openagents_router
from tests.conftest import SharedServers, wait_for
from tests.integration.services.calling import GREETING, engine_on

pytestmark = pytest.mark.one_worker


@pytest.fixture(scope="module")
def engine(shared_servers: SharedServers) -> Iterator[Engine]:
    with engine_on(shared_servers.of("valkey")) as opened:
        yield opened


class _ServerOfThread(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """Leave signals alone: they are for the main thread."""


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1)
    server = _ServerOfThread(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def shop(**options: Any) -> FastAPI:
    """An application with a route and with words of its own for errors."""
    app = FastAPI(**options)

    @app.get("/orders/{number}")
    def order(number: int) -> dict[str, int]:
        if number == 0:
            raise NotFound("no such order")
        return {"number": number}

    @app.exception_handler(OpenAgentsError)
    def tell(_: Request, error: OpenAgentsError) -> PlainTextResponse:
        return PlainTextResponse(f"the shop says: {error}", 418)

    return app


def test_the_services_are_a_part_of_an_application(engine: Engine) -> None:
    app = shop()
    app.include_router(openagents_router(engine, is_open=True), prefix="/workflows")
    with served(app) as url, httpx.Client(base_url=url) as http:
        with Client(f"{url}/workflows") as client:
            run = client.start(GREETING, {"name": "Ada"})
            assert run.result(timeout=60) == "Hello, Ada!"
            assert [event.type for event in run.events()][-1] == "RunCompleted"
        body = {"component": "greet", "inputs": {"name": "Bob"}}
        begun = http.post("/workflows/v1/jobs", json=body)
        assert begun.headers["Location"].startswith("/workflows/v1/runs/")
        assert http.get(begun.headers["Location"]).status_code == 200
        for path, status, code in (
            ("/workflows/v1/runs/0-nothing", 404, "run_not_found"),
            ("/workflows/v1/runs?limit=0", 422, "invalid_request"),
        ):
            answer = http.get(path)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
            assert answer.headers["Content-Type"] == "application/problem+json"
        broken = http.post("/workflows/v1/runs", content=b"{")
        assert broken.json()["code"] == "body_not_json"
        huge = http.post(
            "/workflows/v1/runs", content=(b" " * 2**20 for _ in range(17))
        )
        assert (huge.status_code, huge.json()["code"]) == (413, "body_too_large")
        assert http.get("/orders/7").json() == {"number": 7}
        assert http.get("/orders/0").text == "the shop says: no such order"
        assert "detail" in http.get("/orders/x").json()
        paths = http.get("/openapi.json").json()["paths"]
        assert {"/orders/{number}", "/workflows/v1/runs"} <= paths.keys()
    assert engine.state(run.id).status == "completed"  # it stays open


def test_an_application_shows_the_page_where_it_is_asked_to(engine: Engine) -> None:
    app = shop()
    app.include_router(openagents_router(engine, page=True), prefix="/workflows")
    with served(app) as url, httpx.Client(base_url=url) as http:
        page = http.get("/workflows/")  # for anybody; what it asks for needs a key
        assert page.status_code == 200
        [script] = re.findall(r'<script type="module" src="([^"]+)"', page.text)
        file = http.get(f"/workflows/{script}")
        assert file.headers["Content-Type"].startswith("text/javascript")
        assert http.get("/workflows/v1/runs").status_code == 401
        assert http.get("/").status_code == 404


def test_an_engine_lives_as_long_as_the_application(
    shared_servers: SharedServers,
) -> None:
    server = shared_servers.of("valkey")
    opened: list[Engine] = []

    @contextmanager
    def opening() -> Iterator[Engine]:
        with Engine.connect(server.url, prefix=server.prefix()) as engine:
            opened.append(engine)
            yield engine
        opened.clear()

    app = shop()
    app.include_router(openagents_router(opening))
    assert opened == []
    with served(app) as url, httpx.Client(base_url=url) as http:
        assert http.get("/v1/runs").json()["code"] == "unauthenticated"
        key = opened[0].api_keys.create("shop", "viewer")
        with Client(url, api_key=key.secret) as client:
            assert client.runs() == []
    assert opened == []


def test_an_application_may_know_its_callers_itself(engine: Engine) -> None:
    def known(cookie: str = Header("")) -> None:
        if cookie != "user=ada":
            raise HTTPException(401, "log in")

    app = shop()
    router = openagents_router(engine, "registry", is_open=True)
    app.include_router(router, dependencies=[Depends(known)])
    with served(app) as url, httpx.Client(base_url=url) as http:
        assert http.get("/v1/workflows").status_code == 401
        mine = {"Cookie": "user=ada"}
        assert http.get("/v1/workflows", headers=mine).status_code == 200
        assert http.get("/v1/runs", headers=mine).status_code == 404


def test_without_its_lifespan_nothing_is_answered(engine: Engine) -> None:
    async def ask() -> httpx.Response:
        app = FastAPI()
        app.include_router(openagents_router(engine, is_open=True))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://shop"
        ) as http:
            return await http.get("/v1/runs")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.json()["code"]) == (503, "services_not_ready")
