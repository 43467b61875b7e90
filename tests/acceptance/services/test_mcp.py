"""`openagents mcp` as hosts use it: a process that is spoken with over its standard streams."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters

from tests.acceptance.processes import ROOT

COMPONENTS = """
from openagents_json import tool

@tool("greet")
def greet(name: str) -> str:
    print("what components print must not disturb the protocol")
    return f"Hello, {name}!"
"""
GREETING = {
    "id": "greeting",
    "steps": [
        {"id": "say", "component": "greet", "inputs": {"name": "{{input.name}}"}}
    ],
    "output": "{{say.output}}",
}


def test_a_host_starts_it_and_runs_a_workflow(tmp_path: Path) -> None:
    components = tmp_path / "components.py"
    components.write_text(COMPONENTS)
    options = ["--data", str(tmp_path / "data"), "-c", str(components)]
    command = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from cli.main import main; main()", "mcp", *options],
        cwd=str(tmp_path),
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )

    async def ask() -> str:
        async with Client(command) as client:
            arguments = {
                "workflow": GREETING,
                "inputs": {"name": "Ada"},
                "wait_seconds": 60,
            }
            result = await client.call_tool("start_run", arguments)
            [shown] = result.content
            assert shown.type == "text"
            return shown.text

    run = json.loads(anyio.run(ask))
    assert (run["status"], run["output"]) == ("completed", "Hello, Ada!")
