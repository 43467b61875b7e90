"""Between the core's events and the log's bytes: canonical JSON, and large payloads beside the log.

A payload over `inline_bytes` becomes a blob, named by the hash of its bytes; the event then lists under `blobs` the
path, hash and size of each, with null in its place. What a user's payload contains can therefore never be mistaken
for a reference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eventstore import codec
from eventstore.event import Recorded
from eventstore.run_model import Blob
from openagents_json.workflow import events as ev

PAYLOADS = {
    "RunStarted": ("inputs",),
    "StepScheduled": ("inputs",),
    "CompensationScheduled": ("inputs",),
    "SignalReceived": ("payload",),
    "RunFailing": ("error",),
    "RunReopened": ("inputs",),
    "RunForked": ("inputs",),
    "StepOverridden": ("output",),
    "StepCompleted": ("output", "outputs", "sets"),
    "StepFailed": ("output", "error"),
    "StepTimedOut": ("output",),
    "RunCompleted": ("output",),
    "RunFailed": ("error",),
}
_BY_MEMBER = frozenset({"inputs", "outputs", "sets"})


class PayloadOverLimit(Exception):
    """A payload is larger than the store takes; carries `step` (None for the run), `field`, `size` and `limit`."""

    def __init__(self, step: str | None, field: str, size: int, limit: int) -> None:
        self.step, self.field, self.size, self.limit = step, field, size, limit
        where = f"step {step}" if step else "the run"
        super().__init__(
            f"{where}: {field} has {size} bytes, more than the limit of {limit}; "
            "store it elsewhere and pass a reference, or raise the limit in the settings"
        )


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes: payloads above `inline` become blobs, above `payload` are refused."""

    inline: int = 32 * 1024
    payload: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Encoded:
    """Events ready for a commit, with the blobs that they refer to."""

    events: tuple[tuple[str, bytes], ...]
    blobs: tuple[Blob, ...]


def encode(happened: Sequence[ev.Event], limits: Limits) -> Encoded:
    """Encode events.

    Raises PayloadOverLimit and NotJson.
    """
    blobs: dict[str, Blob] = {}
    out = []
    for event in happened:
        kind, data = ev.type_name(event), ev.to_data(event)
        raw = codec.encode(data)
        if len(raw) > limits.inline and kind in PAYLOADS:
            raw = codec.encode(_outline(kind, data, limits, blobs))
        out.append((kind, raw))
    return Encoded(tuple(out), tuple(blobs.values()))


def _outline(kind: str, data: dict[str, Any], limits: Limits, blobs: dict[str, Blob]) -> dict[str, Any]:
    refs: list[list[Any]] = []
    slim = dict(data)
    for name in PAYLOADS[kind]:
        value = slim.get(name)
        if name in _BY_MEMBER and isinstance(value, Mapping):
            slim[name] = {key: _move((name, key), member, data, limits, blobs, refs) for key, member in value.items()}
        elif value is not None:
            slim[name] = _move((name,), value, data, limits, blobs, refs)
    if refs:
        slim["blobs"] = refs
    return slim


def _move(
    path: tuple[str, ...], value: Any, data: Mapping[str, Any], limits: Limits, blobs: dict[str, Blob], refs: list[Any]
) -> Any:
    raw = codec.encode(value)
    if len(raw) > limits.payload:
        raise PayloadOverLimit(data.get("step"), ".".join(path), len(raw), limits.payload)
    if len(raw) <= limits.inline:
        return value
    sha = hashlib.sha256(raw).hexdigest()
    blobs[sha] = Blob(sha, raw)
    refs.append([list(path), sha, len(raw)])
    return None


Fetch = Callable[[Sequence[tuple[str, str]]], list[bytes]]
"""Gives the bytes of blobs, each named by run and hash."""


def decode_all(recorded: Sequence[Recorded], fetch: Fetch) -> list[ev.Event]:
    """Read stored events back, with their blobs.

    Raises UnknownEvent and whatever `fetch` raises.
    """
    wanted = [
        (item.stream, sha)
        for item in recorded
        if isinstance(item.data, dict) and "blobs" in item.data
        for _, sha, _ in item.data["blobs"]
    ]
    found = dict(zip(wanted, fetch(wanted), strict=True)) if wanted else {}
    return [ev.from_data(item.type, _inline(item, found)) for item in recorded]


def _inline(item: Recorded, found: Mapping[tuple[str, str], bytes]) -> Mapping[str, Any]:
    data: dict[str, Any] = item.data
    if "blobs" not in data:
        return data
    whole: dict[str, Any] = {key: dict(value) if key in _BY_MEMBER and value else value for key, value in data.items()}
    for path, sha, _ in whole.pop("blobs"):
        holder: Any = whole
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = codec.decode(found[(item.stream, sha)])
    return whole
