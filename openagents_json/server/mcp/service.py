"""The tools as an MCP server, over standard input and output."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import version
from typing import Any, Final

import anyio
import jsonschema
import mcp_types as types
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server

from openagents_json.engine import (
    Engine,
    OpenAgentsError,
    OutputMismatch,
    RunHandle,
    RunNotCompleted,
    masked,
)
from openagents_json.errors import NotFound
from openagents_json.server.http.replies import json_bytes
from openagents_json.server.mcp.published import tools_of
from openagents_json.server.mcp.tools import ACTING, LOOKING, AwaitedRun, EngineTool

_INSTRUCTIONS: Final = (
    "Durable workflows: start runs, see how they stand, explain failures, answer what they wait for. "
    "A run that has not ended in time goes on; wait_run waits for it again."
)
_LOOKING: Final = {tool.name: tool for tool in LOOKING}
_OWN: Final = {tool.name: tool for tool in (*LOOKING, *ACTING)}


def make_server(engine: Engine, *, only_reads: bool = False) -> Server[Any]:
    """Return an MCP server on an engine; one that `only_reads` has no tools that change anything."""

    async def list_tools(_context: Any, _request: Any) -> types.ListToolsResult:
        tools = await anyio.to_thread.run_sync(_tools, engine, only_reads)
        return types.ListToolsResult(
            tools=[_described(tool) for tool in tools.values()]
        )

    async def call_tool(
        _context: Any, request: types.CallToolRequestParams
    ) -> types.CallToolResult:
        arguments = dict(request.arguments or {})
        try:
            value = await anyio.to_thread.run_sync(
                _called, engine, only_reads, request.name, arguments
            )
            if isinstance(value, AwaitedRun):
                value = await _at_its_end(engine, value)
        except jsonschema.ValidationError as error:
            return _told(f"{error.json_path}: {error.message}")
        except OpenAgentsError as error:
            return _told(f"{error.code}: {masked(str(error))}")
        return _text(json_bytes(value).decode())

    return Server(
        "openagents-json",
        version=version("openagents-json"),
        title="OpenAgents JSON",
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def serve_stdio(engine: Engine, *, only_reads: bool = False) -> None:
    """Serve on standard input and output, until the input ends."""
    anyio.run(_serve, make_server(engine, only_reads=only_reads))


async def _serve(server: Server[Any]) -> None:
    async with stdio_server() as (reading, writing):
        await server.run(reading, writing, server.create_initialization_options())


def _tools(engine: Engine, only_reads: bool) -> dict[str, EngineTool]:
    """Return the tools by name; those of the product stand before a workflow that is called like one of them."""
    if only_reads:
        return dict(_LOOKING)
    tools = {tool.name: tool for tool in tools_of(engine)}
    return tools | _OWN


def _tool(engine: Engine, only_reads: bool, name: str) -> EngineTool | None:
    """Return a tool, without a look at what is published for one of the product."""
    own = (_LOOKING if only_reads else _OWN).get(name)
    return own or _tools(engine, only_reads).get(name)


def _described(tool: EngineTool) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=tool.only_reads, destructive_hint=tool.destroys
    )
    return types.Tool(
        name=tool.name,
        description=tool.description,
        input_schema=dict(tool.schema),
        annotations=hints,
    )


def _called(
    engine: Engine, only_reads: bool, name: str, arguments: dict[str, Any]
) -> Any:
    """Call a tool.

    Raises NotFound, ValidationError, and what the engine raises.
    """
    tool = _tool(engine, only_reads, name)
    if tool is None:
        raise NotFound(f"there is no tool {name!r}")
    if not tool.checks_itself:
        jsonschema.validate(arguments, tool.schema)
    return tool.call(engine, arguments)


async def _at_its_end(engine: Engine, awaited: AwaitedRun) -> Any:
    """Wait without a thread, which nobody could call off: hosts give up calls, and end their servers by the input."""
    how_it_ended = suppress(RunNotCompleted, OutputMismatch)  # is in the answer
    with anyio.move_on_after(awaited.seconds), how_it_ended:
        await RunHandle[Any](awaited.run, engine)
    return await anyio.to_thread.run_sync(engine.state, awaited.run)


def _told(message: str) -> types.CallToolResult:
    result = _text(message)
    return result.model_copy(update={"is_error": True})


def _text(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])
