"""What commands print as JSON has the fields that the reference says."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import ROOT, openagents

WORKFLOW = {
    "id": "w",
    "inputs": {"text": {"type": "string"}},
    "steps": [
        {"id": "say", "component": "say", "inputs": {"text": "{{input.text}}"}},
        {"id": "wait", "wait_for": "go"},
    ],
}
COMPONENTS = """
from openagents_json import tool


@tool("say")
def say(text: str) -> str:
    if text == "no":
        raise ValueError("no")
    return text
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with a run that failed and one that waits."""
    (tmp_path / "workflow.json").write_text(json.dumps(WORKFLOW))
    (tmp_path / "components.py").write_text(COMPONENTS)
    start = ("run", "workflow.json", "-c", "components.py", "--json")
    openagents(*start, "--input", "text=no", folder=tmp_path)
    openagents(*start, "--input", "text=yes", "--timeout", "0.2", folder=tmp_path)
    return tmp_path


def documented() -> list[Any]:
    sys.path.append(str(ROOT / "scripts"))
    try:
        from pages.json_output import (  # type: ignore[import-not-found]
            COMMANDS,
            type_of,
        )
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return [(command, type_of(kind), is_array) for command, kind, is_array in COMMANDS]


def fields(kind: type[Any]) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def asked(command: str, folder: Path) -> Any:
    """Run a command on the newest run, or on the two runs, as JSON."""
    listed = json.loads(openagents("runs", "list", "--json", folder=folder).stdout)
    runs = [row["id"] for row in listed]
    given = {
        "run": ["workflow.json", "-c", "components.py", "--input", "text=no"],
        "runs show": runs[:1],
        "runs history": runs[:1],
        "runs timeline": runs[:1],
        "runs explain": runs[:1],
        "runs diff": runs[:2],
    }
    done = openagents(
        *command.split(), *given.get(command, ()), "--json", folder=folder
    )
    assert done.stdout, (command, done.stderr)
    return json.loads(done.stdout)


def test_commands_print_the_fields_that_the_reference_says(folder: Path) -> None:
    for command, kind, is_array in documented():
        printed = asked(command, folder)
        assert isinstance(printed, list) is is_array, command
        first = printed[0] if is_array else printed
        assert set(first) == fields(kind), command
