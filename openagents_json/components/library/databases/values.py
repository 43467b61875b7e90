"""Values of a database as JSON: what has no exact form there is a text."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from functools import singledispatch
from typing import Any


@singledispatch
def as_json(value: Any) -> Any:
    """Return a value of a database as JSON; decimal numbers, UUIDs and the like are texts, so that nothing is lost."""
    return str(value)


@as_json.register(type(None))
@as_json.register(str)
@as_json.register(int)
def _as_it_is(value: Any) -> Any:
    return value


@as_json.register
def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return str(value)


@as_json.register(datetime)
@as_json.register(date)
@as_json.register(time)
def _moment(value: Any) -> str:
    text: str = value.isoformat()
    return text


@as_json.register
def _seconds(value: timedelta) -> float:
    return value.total_seconds()


@as_json.register(bytes)
@as_json.register(bytearray)
@as_json.register(memoryview)
def _bytes(value: Any) -> str:
    return base64.b64encode(value).decode()


@as_json.register(list)
@as_json.register(tuple)
def _array(value: Any) -> list[Any]:
    return [as_json(item) for item in value]


@as_json.register(Mapping)
def _object(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): as_json(item) for name, item in value.items()}


def size_of(value: Any) -> int:
    """Return about how many bytes a value takes as JSON."""
    return len(value if isinstance(value, str) else str(value))
