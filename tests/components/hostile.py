"""Components that return and raise what no outcome can be made of, or would end what they run on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn

from openagents_json import tool


def nested(depth: int) -> Any:
    """Return a number so deep inside of arrays."""
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def circle() -> list[Any]:
    """Return an array that contains itself."""
    value: list[Any] = []
    value.append(value)
    return value


class Stubborn(dict[str, Any]):
    """An object that does not let itself be read."""

    def items(self) -> NoReturn:
        """Raise."""
        raise RuntimeError("no")


class Mute(Exception):
    """An error that wants to end the process when it is asked what it says."""

    def __str__(self) -> str:
        raise SystemExit(3)


class Odd(Exception):
    """An error that raises when it is asked whether to try again."""

    @property
    def retryable(self) -> bool:
        """Raise."""
        raise ValueError("no")


def stop_the_loop() -> None:
    """End what all asynchronous steps run on."""
    asyncio.get_running_loop().stop()


def raising(error: BaseException) -> Callable[[], NoReturn]:
    """Return a function that raises."""

    def wrong() -> NoReturn:
        raise error

    return wrong


def endless() -> Iterator[int]:
    """Return what is no value at all."""
    yield 1


VALUES: dict[str, Callable[[], Any]] = {
    "long number": lambda: 10**4300,
    "long number inside": lambda: {"a": [10**4300]},
    "nan": lambda: math.nan,
    "infinity": lambda: [math.inf],
    "number as name": lambda: {1: 2},
    "bytes": lambda: b"x",
    "set": lambda: {1},
    "object": object,
    "generator": endless,
    "circle": circle,
    "unreadable": Stubborn,
    **{
        f"nested {depth}": partial(nested, depth)
        for depth in (257, 490, 495, 500, 501, 100_000)
    },
}
"""What is not JSON, or cannot be written."""

ERRORS: dict[str, Callable[[], Any]] = {
    "exit": raising(SystemExit(1)),
    "interrupt": raising(KeyboardInterrupt()),
    "generator exit": raising(GeneratorExit()),
    "stop iteration": raising(StopIteration(4)),
    "base": raising(BaseException("so")),
    "mute": raising(Mute()),
    "odd": raising(Odd("so")),
    "long": raising(ValueError("x" * 10_000_000)),
    "surrogate": raising(ValueError("\ud800")),
}
"""What fails a step like any other error."""

ALL = {**VALUES, **ERRORS, "stop the loop": stop_the_loop}


@tool("give", effect="idempotent")
def give(what: str) -> Any:
    """Return one of these."""
    return ALL[what]()


@tool("give_later", effect="idempotent")
async def give_later(what: str) -> Any:
    """Return one of these from the event loop."""
    await asyncio.sleep(0)
    return ALL[what]()


@tool("echo", effect="pure")
def echo(value: Any = None) -> Any:
    """Return back what came in."""
    return value


@tool("deep", effect="pure")
def deep(depth: int) -> Any:
    """Return a deep value."""
    return nested(depth)
