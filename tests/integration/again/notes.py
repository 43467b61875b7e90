"""A workflow that notes what it does, some of which can fail."""

from __future__ import annotations

from typing import Any

from openagents_json import tool

calls: list[tuple[str, Any]] = []


@tool("note")
def note(x: Any = None, name: str = "note") -> Any:
    calls.append((name, x))
    return x


@tool("picky")
def picky(x: int) -> int:
    calls.append(("picky", x))
    if x < 0:
        raise ValueError(f"{x} is too small")
    return x * 10


def document(**more: Any) -> dict[str, Any]:
    return {
        "id": "order",
        "version": "1.0.0",
        "inputs": {"x": {"type": "integer", "required": True}},
        "steps": [
            {
                "id": "first",
                "component": "note",
                "inputs": {"x": "{{input.x}}", "name": "first"},
            },
            {"id": "second", "component": "picky", "inputs": {"x": "{{first.output}}"}},
            {
                "id": "third",
                "component": "note",
                "inputs": {"x": "{{second.output}}", "name": "third"},
            },
        ],
        "output": {"result": "{{third.output}}"},
        **more,
    }


def waiting() -> dict[str, Any]:
    steps = document()["steps"]
    return document(
        id="waiting",
        steps=[*steps[:1], {"id": "ok", "wait_for": {"signal": "go"}}, *steps[1:]],
    )
