"""Inputs that fail, made smaller while they fail in the same way."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.fuzz.mutations import members, places, value_at, zipped

TRIES = 400


def shrunk(
    raw: bytes,
    smaller: Callable[[bytes], Iterator[bytes]],
    fails: Callable[[bytes], bool],
    patient: Callable[[], bool] = lambda: True,
) -> bytes:
    """Return the smallest input that fails of those that were tried."""
    left, again = TRIES, True
    while again:
        again = False
        for less in smaller(raw):
            if left == 0 or not patient():
                return raw
            left -= 1
            if less != raw and len(less) <= len(raw) and fails(less):
                raw, again = less, True
                break
    return raw


def smaller_bytes(raw: bytes) -> Iterator[bytes]:
    """Return the bytes without a piece, for pieces that get smaller."""
    size = len(raw) // 2
    while size:
        for at in range(0, len(raw), size):
            yield raw[:at] + raw[at + size :]
        size //= 2


def smaller_json(raw: bytes) -> Iterator[bytes]:
    """Return the JSON value without something of it; bytes where it is no JSON."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        yield from smaller_bytes(raw)
        return
    yield json.dumps(value).encode()
    for less in smaller_values(value):
        yield json.dumps(less).encode()


def smaller_values(value: Any) -> Iterator[Any]:
    """Return JSON values with one member or item less, or with a shorter text."""
    for path in sorted(places(value), key=len):
        if path:
            less = copy.deepcopy(value)
            del value_at(less, path[:-1])[path[-1]]
            yield less
    for path in places(value):
        text = value_at(value, path)
        if isinstance(text, str) and len(text) > 1 and path:
            for part in (
                text[: len(text) // 2],
                text[len(text) // 2 :],
                text[1:],
                text[:-1],
            ):
                less = copy.deepcopy(value)
                value_at(less, path[:-1])[path[-1]] = part
                yield less


def smaller_zip(raw: bytes) -> Iterator[bytes]:
    """Return the zip file without a member, or with fewer lines of one."""
    files = members(raw)
    if files is None:
        yield from smaller_bytes(raw)
        return
    yield zipped(files)
    for name in files:
        yield zipped(
            {other: content for other, content in files.items() if other != name}
        )
    for name, content in files.items():
        lines = content.split(b"\n")
        for at in range(len(lines)):
            yield zipped({**files, name: b"\n".join([*lines[:at], *lines[at + 1 :]])})
