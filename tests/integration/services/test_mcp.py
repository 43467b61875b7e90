"""The MCP server, asked by the protocol's own client."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from mcp import Client

from openagents_json.engine import Engine
from openagents_json.server.mcp.service import make_server
from tests.conftest import Server
from tests.integration.services.calling import ASKING, BREAKING, GREETING, engine_on

pytestmark = pytest.mark.one_worker

READING = {
    *("diff_runs", "explain_run", "get_history", "get_run", "list_failures"),
    *("list_runs", "list_waiting", "list_workflows", "validate_workflow", "wait_run"),
}
ACTING = {"cancel_run", "retry_run", "signal_run", "start_run"}


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server) as opened:
        opened.publish(GREETING)
        yield opened


def ask(
    engine: Engine,
    question: Callable[[Client], Awaitable[Any]],
    *,
    only_reads: bool = False,
) -> Any:
    """Ask a client of a server of its own."""

    async def asked() -> Any:
        async with Client(make_server(engine, only_reads=only_reads)) as client:
            return await question(client)

    return anyio.run(asked)


def call(engine: Engine, tool: str, /, **arguments: Any) -> Any:
    """Call a tool, and give what it answers."""
    result = ask(engine, lambda client: client.call_tool(tool, arguments))
    assert not result.is_error, result.content[0].text
    return json.loads(result.content[0].text)


def refusal(engine: Engine, tool: str, /, **arguments: Any) -> str:
    """Call a tool that refuses, and give what it says."""
    result = ask(engine, lambda client: client.call_tool(tool, arguments))
    assert result.is_error
    return str(result.content[0].text)


def test_what_may_be_looked_at_and_done_are_tools(engine: Engine) -> None:
    listed = ask(engine, lambda client: client.list_tools()).tools
    assert {tool.name for tool in listed} == READING | ACTING | {"run_greeting"}
    harmless = {tool.name for tool in listed if tool.annotations.read_only_hint}
    assert harmless == READING
    reading = ask(engine, lambda client: client.list_tools(), only_reads=True).tools
    assert {tool.name for tool in reading} == READING


def test_a_published_workflow_takes_its_inputs(engine: Engine) -> None:
    listed = ask(engine, lambda client: client.list_tools()).tools
    [greeting] = [tool for tool in listed if tool.name == "run_greeting"]
    assert greeting.input_schema["properties"] == {"name": {"type": "string"}}
    run = call(engine, "run_greeting", name="Ada")
    assert (run["status"], run["output"]) == ("completed", "Hello, Ada!")
    assert "nobody" in refusal(engine, "run_greeting", nobody=1)


def test_workflows_whose_ids_are_alike_are_tools_of_their_own(server: Server) -> None:
    with engine_on(server) as engine:
        engine.publish({**GREETING, "id": "say-it", "output": "of say-it"})
        engine.publish({**GREETING, "id": "say_it", "output": "of say_it"})
        outputs = [
            call(engine, f"run_{workflow}", name="Ada")["output"]
            for workflow in ("say-it", "say_it")
        ]
    assert outputs == ["of say-it", "of say_it"]


def test_who_goes_while_a_run_is_awaited_leaves_nobody_waiting(
    engine: Engine,
) -> None:
    """Hosts give calls up, and end their server by its input: five minutes later would be too late."""
    run = call(engine, "start_run", workflow=ASKING, wait_seconds=0)["id"]

    async def go_meanwhile(client: Client) -> None:
        arguments = {"run": run, "wait_seconds": 300}
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "wait_run", arguments)
            # Asked behind the other call, so that it is being waited by then.
            await client.call_tool("get_run", {"run": run})
            calls.cancel_scope.cancel()

    ask(engine, go_meanwhile)
    assert engine.state(run).status == "running"


def test_a_run_is_started_seen_waiting_and_answered(engine: Engine) -> None:
    run = call(engine, "start_run", workflow=ASKING, wait_seconds=0)["id"]
    assert run in [step["run"] for step in call(engine, "list_waiting")]
    call(engine, "signal_run", run=run, name="answer", payload={"yes": True})
    ended = call(engine, "wait_run", run=run, wait_seconds=60)
    assert (ended["status"], ended["output"]) == ("completed", {"yes": True})


def test_a_failure_is_explained_and_tried_again(engine: Engine) -> None:
    run = call(engine, "start_run", workflow=BREAKING, wait_seconds=60)["id"]
    assert call(engine, "explain_run", run=run)["step"] == "fall"
    assert call(engine, "list_runs", status=["failed"])["items"][0]["id"] == run
    call(engine, "retry_run", run=run)
    again = call(engine, "wait_run", run=run, wait_seconds=60)
    assert again["status"] == "failed"
    types = [event["type"] for event in call(engine, "get_history", run=run, limit=200)]
    assert "RunReopened" in types


def test_what_cannot_be_done_is_told_in_words(engine: Engine) -> None:
    assert refusal(engine, "get_run", run="0-x").startswith("run_not_found: ")
    assert "is a required property" in refusal(engine, "get_run")
    assert "there is no tool" in refusal(engine, "drop_everything")
    assert "unknown_workflow" in refusal(engine, "start_run", workflow="../secret")


def test_who_only_reads_cannot_act(engine: Engine) -> None:
    result = ask(
        engine,
        lambda client: client.call_tool("start_run", {"workflow": "greeting"}),
        only_reads=True,
    )
    assert result.is_error
