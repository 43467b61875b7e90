"""A component with a mistake that is mended when a file says so, and some with effects, for tests of healing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openagents_json import Context, tool


@tool("price", effect="pure")
def price(x: int) -> int:
    return x * 100


@tool("book")
def book(cents: int, folder: str) -> str:
    """Book, but for odd prices before the mistake is mended; some can never be."""
    mended = (Path(folder) / "mended").exists()
    if cents < 0 or (cents % 200 and not mended):
        raise ValueError(f"{cents} cents cannot be booked")
    return f"booked {cents}"


@tool("note", effect="at_most_once")
def note(context: Context, text: Any, folder: str) -> str:
    """Have an effect."""
    with (Path(folder) / "notes").open("a") as file:
        file.write(f"{context.run_id}\n")
    return f"noted {text}"
