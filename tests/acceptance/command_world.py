"""A folder with documents and a store, and the command as a user runs it there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openagents_json import tool
from tests.acceptance.processes import COMPONENTS, openagents

GOOD: dict[str, Any] = {
    "id": "good",
    "inputs": {"n": {"type": "integer", "required": True}},
    "steps": [{"id": "a", "component": "quick", "inputs": {"n": "{{input.n}}"}}],
    "output": "{{a.output}}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents and the data of an embedded server, which one command keeps running."""
    base = tmp_path_factory.mktemp("cli")
    (base / "good.json").write_text(json.dumps(GOOD))
    (base / "fails.json").write_text(
        json.dumps({"id": "fails", "steps": [{"id": "a", "component": "fail"}]})
    )
    (base / "unknown.json").write_text(
        json.dumps({"id": "u", "steps": [{"id": "a", "component": "quik"}]})
    )
    (base / "broken.json").write_text('{"id": "x",\n "steps": [}')
    (base / "deep.json").write_text("[" * 100_000 + "]" * 100_000)
    run(
        base, "good.json", "-i", "n=1"
    )  # a command that reads makes no store, and tests come in any order
    run(base, "fails.json")
    return base


def call(folder: Path, *arguments: str) -> tuple[int, str, str]:
    where = ("--data", str(folder / "data"))
    done = openagents(
        *arguments, *(where if arguments[0] not in ("completion", "--help") else ())
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def run(folder: Path, name: str, *more: str) -> tuple[int, str, str]:
    return call(folder, "run", str(folder / name), "-c", str(COMPONENTS), *more)


def of_file(data: Path) -> Any:
    """Return a component that does what the file `says` of a folder says: it fails with that until it says "well"."""

    @tool("of_file", effect="idempotent")
    def of_file() -> str:
        text = (data / "says").read_text()
        if text != "well":
            raise ValueError(text)
        return text

    return of_file
