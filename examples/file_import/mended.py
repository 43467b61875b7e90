"""The same components, with a transform that knows the decimal comma."""

from __future__ import annotations

from typing import Any

from components import extract, load

from openagents_json import tool

__all__ = ["extract", "load", "transform"]


@tool("transform", effect="pure")
def transform(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Turn amounts into numbers, whichever way they are written."""
    return [
        {"shop": row["shop"], "amount": float(row["amount"].replace(",", "."))}
        for row in rows
    ]
