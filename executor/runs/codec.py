"""Between the core's events and the log's bytes: canonical JSON, and large payloads beside the log.

A payload over `inline_bytes` becomes a blob, named by the hash of its bytes; the event then lists under `blobs` the
path, hash and size of each, with null in its place. What a user's payload contains can therefore never be mistaken
for a reference.

In an encrypted run, each payload is ciphertext: the event has null in its place too, and lists under `sealed` the path
and base64 of nonce and ciphertext, or "" where that is a blob. Errors stay readable, as failures are grouped by them;
but the output of a terminate step is a payload, and so are messages of the engine that may quote one. The first event
of such a run has `sealed` in any case.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from eventstore import codec
from eventstore.errors import NotJson
from eventstore.event import Recorded
from eventstore.run_model import Blob
from executor.encryption import RunKey
from executor.errors import DamagedPayload, PayloadOverLimit, PayloadUnfit, RunSealed
from executor.errors import PayloadRefused as PayloadRefused
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.bounds import DEFAULT, Bounds
from openagents_json.workflow.core.event_types import (
    PAYLOADS,
    from_data,
    to_data,
    type_name,
)

_BY_MEMBER = frozenset({"inputs", "outputs", "sets"})
_READABLE = ("error",)
_FIRST = ev.RunStarted.__name__

QUOTING = frozenset(
    {
        "ExpressionError",
        "InvalidComponentInput",
        "InvalidComponentOutput",
        "InvalidInputs",
        "InvalidTime",
        "PayloadNotJson",
        "Terminated",
        "OutcomeNotRecorded",
    }
)
"""Types of errors of the engine whose messages may quote what a run works with."""

ENCRYPTED = "(encrypted)"
"""What stands in the place of such a message."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes: payloads above `inline` become blobs, above `payload` are refused.

    `bounds` are how large a run may grow, `starts` how many runs one request may start, and `queue` how many steps of a
    worker type may wait for a worker before new runs are refused that would need it; 0 is any number.
    """

    inline: int = 32 * 1024
    payload: int = 8 * 1024 * 1024
    bounds: Bounds = DEFAULT
    starts: int = 100_000
    queue: int = 0


class EncodedEvents(Struct, frozen=True, gc=False):
    """Events ready for a commit, with the blobs that they refer to."""

    events: tuple[tuple[str, bytes], ...]
    blobs: tuple[Blob, ...]


def encode(
    happened: Sequence[ev.Event], limits: Limits, key: RunKey | None = None
) -> EncodedEvents:
    """Encode events; with a key, their payloads are encrypted.

    Raises PayloadOverLimit and PayloadUnfit.
    """
    blobs: dict[str, Blob] = {}
    out = []
    for event in happened:
        kind = type_name(event)
        data = to_data(event)
        try:
            out.append((kind, encode_data(kind, data, limits, blobs, key)))
        except NotJson as error:
            raise PayloadUnfit(data.get("step"), kind, str(error)) from error
    return EncodedEvents(tuple(out), tuple(blobs.values()))


def encode_data(
    kind: str,
    data: Mapping[str, Any],
    limits: Limits,
    blobs: dict[str, Blob],
    key: RunKey | None = None,
) -> bytes:
    """Encode the data of one event; what belongs beside the log is added to `blobs`.

    Raises PayloadOverLimit and NotJson.
    """
    if kind not in PAYLOADS:
        return codec.encode(data)
    if key is None:
        raw = codec.encode(data)
        if len(raw) <= limits.inline:  # nearly always: no payload can be larger
            return raw
    extraction = _PayloadExtraction(kind, data, limits, blobs, key)
    return codec.encode(extraction.data_without())


@dataclass(slots=True)
class _PayloadExtraction:
    """Takes the payloads of one event out of it: those to be stored beside the log, and those to be encrypted."""

    kind: str
    data: Mapping[str, Any]
    limits: Limits
    blobs: dict[str, Blob]
    key: RunKey | None
    refs: list[Any] = field(default_factory=list)
    sealed: list[Any] = field(default_factory=list)

    def data_without(self) -> dict[str, Any]:
        """Return the data with references in the place of what was taken out."""
        rest = dict(self.data)
        for name in PAYLOADS[self.kind]:
            value = rest.get(name)
            if value is not None:
                rest[name] = self._without(name, value)
        if self.refs:
            rest["blobs"] = self.refs
        begins_encrypted = self.key is not None and self.kind == _FIRST
        if self.sealed or begins_encrypted:
            rest["sealed"] = self.sealed
        return rest

    def _without(self, name: str, value: Any) -> Any:
        """Return what stands in the place of a field that holds payloads."""
        if not isinstance(value, Mapping):
            return self._extract((name,), value)
        if name in _BY_MEMBER:
            members = {}
            for key, member in value.items():
                members[key] = self._extract((name, key), member)
            return members
        if name == "error" and self.key is not None:
            value = self._unquoted(value)
        return self._extract((name,), value)

    def _unquoted(self, error: Mapping[str, Any]) -> dict[str, Any]:
        """Return an error without what it says of payloads."""
        out = dict(error)
        if out.get("output") is not None:
            out["output"] = self._extract(("error", "output"), out["output"])
        if quotes(out):
            self._extract(("error", "message"), out["message"])
            out["message"] = ENCRYPTED
        return out

    def _extract(self, path: tuple[str, ...], value: Any) -> Any:
        """Return what stands in the place of a payload: itself where it is small and readable, else null."""
        raw = codec.encode(value)
        most = self.limits.payload
        if len(raw) > most:
            step = self.data.get("step")
            raise PayloadOverLimit(
                step=step, field=".".join(path), size=len(raw), limit=most
            )
        if self.key is None or path == _READABLE:
            if self._fits(raw):
                return value
            self._put_beside(path, raw)
            return None
        raw = self.key.encrypt(raw, *_place(self.kind, self.data, path))
        if self._fits(raw):
            self.sealed.append([list(path), base64.b64encode(raw).decode()])
        else:
            self._put_beside(path, raw)
            self.sealed.append([list(path), ""])
        return None

    def _fits(self, raw: bytes) -> bool:
        return len(raw) <= self.limits.inline

    def _put_beside(self, path: tuple[str, ...], raw: bytes) -> None:
        sha = hashlib.sha256(raw).hexdigest()
        self.blobs[sha] = Blob(sha, raw)
        self.refs.append([list(path), sha, len(raw)])


def quotes(error: Mapping[str, Any]) -> bool:
    """Tell whether the message of an error may quote what a run works with."""
    return error.get("type") in QUOTING and isinstance(error.get("message"), str)


def _place(kind: str, data: Mapping[str, Any], path: Sequence[str]) -> tuple[str, ...]:
    """Name the place of a payload, so that its ciphertext reads nowhere else."""
    return (kind, str(data.get("step", "")), *path)


Fetch = Callable[[Sequence[tuple[str, str]]], list[bytes]]
"""Gives the bytes of blobs, each named by run and hash."""

RunKeys = Mapping[str, RunKey | None]
"""The keys of encrypted runs; None for one whose key was destroyed: its payloads are read as null."""


def decode_all(
    recorded: Sequence[Recorded], fetch: Fetch, keys: RunKeys | None = None
) -> list[ev.Event]:
    """Read stored events back, with their blobs.

    Raises UnknownEvent, RunSealed for encrypted events of a run without a key, DamagedPayload and whatever `fetch`
    raises.
    """
    whole = zip(recorded, filled(recorded, fetch, keys), strict=True)
    return [from_data(item.type, data, item.time_ms) for item, data in whole]


def filled(
    recorded: Sequence[Recorded], fetch: Fetch, keys: RunKeys | None = None
) -> list[Mapping[str, Any]]:
    """Return the data of stored events with all payloads in their places.

    Raises as `decode_all`, but for UnknownEvent.
    """
    blobs: list[tuple[str, str]] = []
    for item in recorded:
        blobs += [(item.stream, sha) for _, sha, _ in _references(item, keys)]
    by_name = dict(zip(blobs, fetch(blobs), strict=True)) if blobs else {}
    return [_inline(item, by_name, keys) for item in recorded]


def shown(item: Recorded, keys: RunKeys) -> Recorded:
    """Return an event with its payloads but for the large ones, which stay references; what is no more is named.

    Raises RunSealed and DamagedPayload.
    """
    if not is_sealed(item):
        return item
    is_destroyed = item.stream in keys and keys[item.stream] is None
    if is_destroyed:
        return _without_sealed(item)
    inline = dict(item.data)
    inline.pop("blobs", None)
    inline["sealed"] = [pair for pair in item.data["sealed"] if pair[1]]
    opened = dict(_inline(replace(item, data=inline), {}, keys))
    if "blobs" in item.data:
        opened["blobs"] = item.data["blobs"]
    return replace(item, data=opened)


def _without_sealed(item: Recorded) -> Recorded:
    """Return an event of a run whose key is no more, with the places of what nobody can read."""
    data = dict(item.data)
    paths = [path for path, _ in data.pop("sealed")]
    data.pop("blobs", None)
    if paths:
        data["erased"] = paths
    return replace(item, data=data)


def is_sealed(item: Recorded) -> bool:
    """Tell whether an event has encrypted payloads, or begins a run that has."""
    return isinstance(item.data, dict) and "sealed" in item.data


def _references(item: Recorded, keys: RunKeys | None) -> list[Any]:
    """Return the references of an event to blobs that can be read."""
    data = item.data
    if not isinstance(data, dict) or "blobs" not in data:
        return []
    refs: list[Any] = data["blobs"]
    if "sealed" not in data or _key_of(item, keys) is not None:
        return refs
    closed = [path for path, _ in data["sealed"]]
    return [ref for ref in refs if ref[0] not in closed]


def _key_of(item: Recorded, keys: RunKeys | None) -> RunKey | None:
    if keys is None or item.stream not in keys:
        raise RunSealed(item.stream, "")
    return keys[item.stream]


def _inline(
    item: Recorded, by_name: Mapping[tuple[str, str], bytes], keys: RunKeys | None
) -> Mapping[str, Any]:
    data: dict[str, Any] = item.data
    if "blobs" not in data and "sealed" not in data:
        return data
    full = _copied(data)
    full.pop("blobs", None)
    references = _references(item, keys)
    blobs = {tuple(path): by_name[(item.stream, sha)] for path, sha, _ in references}
    sealed = {tuple(path): text for path, text in full.pop("sealed", ())}
    key = _key_of(item, keys) if is_sealed(item) else None
    # What lies in something comes after it.
    for path in sorted(blobs | sealed, key=len):
        raw = blobs[path] if path in blobs else _bytes(item, sealed[path])
        if path in sealed:
            if key is None:
                continue
            raw = key.decrypt(raw, *_place(item.type, data, path))
        _put(item, full, path, codec.decode(raw))
    return full


def _copied(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event, with objects of its own where payloads are put back into them."""
    full = dict(data)
    for name in (*_BY_MEMBER, *_READABLE):
        if full.get(name):
            full[name] = dict(full[name])
    return full


def _put(item: Recorded, full: dict[str, Any], path: Sequence[str], value: Any) -> None:
    holder: Any = full
    try:
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
    except (IndexError, KeyError, TypeError) as error:
        raise DamagedPayload(item.stream, f"{item.type} {'.'.join(path)}") from error


def _bytes(item: Recorded, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedPayload(item.stream, item.type) from error
