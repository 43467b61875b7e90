"""Components whose mistakes are mended when a file says so, for tests of healing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from openagents_json import Context, tool

MENDED = Path(os.environ.get("MENDED", "/nowhere"))


@tool("price", effect="pure")
def price(x: int) -> int:
    return x * 100


@tool("book")
def book(context: Context, cents: int, notes: str) -> str:
    """Note that it ran, with a mistake that is mended when a file is there."""
    if cents % 200 and not MENDED.exists():
        raise ValueError(f"{cents} cents cannot be booked")
    return f"booked {cents}"


@tool("note", effect="at_most_once")
def note(context: Context, text: Any, notes: str) -> str:
    """Have an effect."""
    with Path(notes).open("a") as file:
        file.write(f"{context.run_id}\n")
    return f"noted {text}"
