"""Canonical JSON and stream entries."""

from __future__ import annotations

import json
from typing import Any

from eventstore.errors import NotJson
from eventstore.event import Position, Recorded


def encode(value: Any) -> bytes:
    """Encode."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError) as error:
        raise NotJson(str(error)) from error


def decode(raw: bytes) -> Any:
    """Decode."""
    return json.loads(raw.decode("utf-8", "surrogatepass"))


def normalise(value: Any) -> Any:
    """Give what a replay would give."""
    if value is None or type(value) in (str, int, bool):
        return value
    return decode(encode(value))


def parse_entry(stream: str, partition: int, entry: Any) -> Recorded:
    """Parse a stream entry."""
    eid, f = entry
    return Recorded(stream, int(eid[: eid.index(b"-")]), Position(partition, int(f[7])), int(f[5]), f[9].decode(), f[11].decode(), f[13].decode(), f[1].decode(), decode(f[3]), decode(f[15]) if len(f) > 14 else {})
