"""Runs whose every value is a word that is found nowhere else."""

from __future__ import annotations

from typing import Any, Literal

from openagents_json import Context, Registry


def tools() -> Registry:
    components = Registry()

    @components.tool("echo", effect="idempotent")
    def echo(context: Context, x: Any = None) -> Any:
        context.emit({"seen": x})
        return x

    @components.tool("shaky", effect="idempotent")
    def shaky(context: Context, x: Any) -> Any:
        if context.attempt == 1:
            raise ConnectionError("the first time")
        return {"x": x}

    @components.tool("later", effect="idempotent")
    async def later(x: Any) -> Any:
        return [x, x]

    @components.tool("breaks", effect="idempotent")
    def breaks(x: Any) -> Any:
        raise ValueError("it broke")

    @components.tool("picky", effect="idempotent")
    def picky(color: Literal["red", "blue"], n: int = 0) -> str:
        return color

    @components.tool("sloppy", effect="idempotent")
    def sloppy(x: str) -> Any:
        return {x: object()}

    return components


def one(name: str, *steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A workflow of some steps, which takes any inputs."""
    return {
        "id": name,
        "steps": [{"id": f"s{number}", **step} for number, step in enumerate(steps)],
        **more,
    }
