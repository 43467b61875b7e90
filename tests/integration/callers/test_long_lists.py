"""Long lists by lines of JSON: all of a list in one answer, and one that is cut is seen to be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from httpx import Client, Response
from starlette.types import Message

from eventstore.errors import StoreUnavailable
from openagents_json.engine import Engine
from openagents_json.server.http.replies import LINES, Lines
from tests.integration.services.calling import ASKING, calling

pytestmark = pytest.mark.one_worker

BY_LINES = {"Accept": f"text/html;q=0.1, {LINES}"}


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


def lines_of(response: Response) -> list[Any]:
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith(LINES)
    return [json.loads(line) for line in response.text.splitlines()]


def test_all_runs_come_in_one_answer(engine: Engine, api: Client) -> None:
    engine.start_many([(ASKING, {})] * 23)
    query: dict[str, str | int] = {"workflow": "asking", "limit": 5}
    by_lines = lines_of(api.get("/v1/runs", params=query, headers=BY_LINES))
    assert len(by_lines) == 23
    assert (
        by_lines == api.get("/v1/runs", params={**query, "limit": 50}).json()["items"]
    )
    nothing = api.get("/v1/runs", params={"workflow": "none"}, headers=BY_LINES)
    assert lines_of(nothing) == []


@pytest.mark.parametrize("limit", [1, 3, 4, 1000])
def test_a_history_comes_in_one_answer(engine: Engine, api: Client, limit: int) -> None:
    run = engine.start(ASKING)
    engine.signal(run, "answer", 1)
    engine.wait(run, timeout=60)
    address = f"/v1/runs/{run}/history"
    query = {"after": 1, "limit": limit}
    by_lines = lines_of(api.get(address, params=query, headers=BY_LINES))
    assert by_lines == api.get(address, params={"after": 1}).json()["items"]


def test_what_is_not_there_is_a_problem_and_no_line(api: Client) -> None:
    answer = api.get("/v1/runs/0-none/history", headers=BY_LINES)
    assert (answer.status_code, answer.json()["code"]) == (404, "run_not_found")


def test_a_list_that_is_cut_has_no_end() -> None:
    def pages() -> Iterator[Sequence[int]]:
        yield [1, 2]
        raise StoreUnavailable("valkey", "it is away")

    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nobody hangs up")

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "asgi": {"spec_version": "2.3"}}
    asyncio.run(Lines(pages())(scope, receive, send))
    bodies = [each for each in sent if each["type"] == "http.response.body"]
    assert b"".join(each["body"] for each in bodies) == b"1\n2\n"
    assert all(each["more_body"] for each in bodies)
