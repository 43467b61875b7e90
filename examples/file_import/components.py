"""Extract, transform, load: one file of sales."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from openagents_json import Context, RetryableError, tool


@tool(
    "extract",
    retry={"max_retries": 3, "delay_seconds": 0.05, "retry_on": ["RetryableError"]},
)
def extract(file: str, context: Context) -> list[dict[str, str]]:
    """Read a file from a share that is busy now and then."""
    if file.endswith("0.csv") and context.attempt == 1:
        raise RetryableError(f"the share is busy: {Path(file).name}")
    with Path(file).open(newline="") as lines:
        return list(csv.DictReader(lines))


@tool("transform", effect="pure")
def transform(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Turn amounts into numbers."""
    return [{"shop": row["shop"], "amount": float(row["amount"])} for row in rows]


@tool("load", effect="idempotent")
def load(file: str, rows: list[dict[str, Any]], folder: str) -> int:
    """Store the rows of a file; doing it again gives the same."""
    target = Path(folder) / f"{Path(file).stem}.json"
    target.write_text(json.dumps(rows))
    return len(rows)
