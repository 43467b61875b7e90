"""JSON as it comes from outside: what Python would read beside it (`NaN`, `Infinity`) is none."""

from __future__ import annotations

import json
from typing import Any


def json_of(text: str) -> Any:
    """Read JSON.

    Raises ValueError and RecursionError.
    """
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
