"""Between values and bytes: canonical JSON, and the fields of stream entries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from eventstore.errors import NotJson
from eventstore.event import Json, Position, Recorded

_encoder: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_raw_decode: Final = json.JSONDecoder().raw_decode
_SCALARS: Final = frozenset({str, int, bool, type(None)})


def encode(value: Json) -> bytes:
    """Give a value as canonical JSON: sorted keys, no spaces, UTF-8.

    Raises NotJson with the path.
    """
    try:
        text = _encoder.encode(value)
    except (TypeError, ValueError) as error:
        _check_keys(value)  # also refuses what contains itself
        path, reason = _blame(value, "")
        raise NotJson(path, reason or str(error)) from error
    except RecursionError as error:
        raise NotJson("", "it is nested too deeply") from error
    return text.encode("utf-8", "surrogatepass")


def decode(raw: bytes) -> Json:
    """Give the value of canonical JSON, which has no spaces around it: looking for them takes half of the time."""
    text = raw.decode("utf-8", "surrogatepass")
    value, end = _raw_decode(text)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def normalise(value: Json) -> Json:
    """Give a value as a replay would give it: tuples as lists, plain types throughout.

    Raises NotJson with the path.
    """
    if type(value) in _SCALARS:
        return value
    _check_keys(value)
    return decode(encode(value))


def _check_keys(value: Any) -> None:
    """Refuse names that are no texts, which the encoder would turn into texts."""
    todo: list[tuple[Any, str, int]] = [(value, "", 0)]
    while todo:
        item, path, depth = todo.pop()
        if depth > 500:
            raise NotJson(path[:200], "it is nested too deeply")
        if isinstance(item, Mapping):
            for key, member in item.items():
                if not isinstance(key, str):
                    raise NotJson(path, f"the name {key!r} is not a text")
                todo.append((member, f"{path}.{key}" if path else key, depth + 1))
        elif isinstance(item, list | tuple):
            todo += [(member, f"{path}[{i}]", depth + 1) for i, member in enumerate(item)]


def _blame(value: Any, path: str) -> tuple[str, str]:
    """Find what is not JSON."""
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return path, f"{value} is not a JSON number"
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return path, f"the name {key!r} is not a text"
            found = _blame(item, f"{path}.{key}" if path else key)
            if found[1]:
                return found
        return path, "" if isinstance(value, dict) else f"{type(value).__name__} is not JSON"
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            found = _blame(item, f"{path}[{index}]")
            if found[1]:
                return found
        return path, ""
    if value is None or isinstance(value, str | int | float):
        return path, ""
    return path, f"{type(value).__name__} is not JSON"


def parse_entry(stream: str, partition: int, entry: Sequence[Any]) -> Recorded:
    """Read a stream entry; fields stand in a fixed order, see `Keyspace`."""
    identity, f = entry
    return Recorded(
        stream,
        int(identity[: identity.index(b"-")]),
        Position(partition, int(f[7])),
        int(f[5]),
        f[9].decode("utf-8", "surrogatepass"),
        f[11].decode("utf-8", "surrogatepass"),
        f[13].decode("utf-8", "surrogatepass"),
        f[1].decode("utf-8", "surrogatepass"),
        decode(f[3]),
        decode(f[15]) if len(f) > 14 else {},
    )
