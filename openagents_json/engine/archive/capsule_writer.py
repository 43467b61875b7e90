"""The file of a capsule, written member by member: what is held of it is a payload, and not the file.

The manifest comes first and names the hashes of all others. So events are gone through twice, once for their hash and
once for the file; payloads and definitions have their hashes as names.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Final

from eventstore import codec
from eventstore.event import Json
from eventstore.redis.raw import RawEvent
from openagents_json.engine.archive.capsule_file import (
    COMPONENTS,
    EVENTS,
    FORMAT,
    LARGE,
    MANIFEST,
    PROOFS,
    RATIO,
    Capsule,
)

_PIECE: Final = 64 * 1024
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True)
class _Member:
    """A member that was gone through once: `pieces` gives it again."""

    sha256: str
    size: int
    method: int
    pieces: Callable[[], Iterable[bytes]]


def write(capsule: Capsule) -> bytes:
    """Return the bytes of a small capsule; the same one always gives the same bytes."""
    out = io.BytesIO()
    write_to(capsule, out)
    return out.getvalue()


def write_to(capsule: Capsule, file: IO[bytes]) -> None:
    """Write a capsule to a file that can be sought in; its payloads are read one by one.

    Raises whatever the payloads of the capsule raise when they are read.
    """
    members = {
        EVENTS: _measured(
            lambda: _joined(
                codec.encode(_line(event)) + b"\n" for event in capsule.events
            )
        ),
        COMPONENTS: _whole(codec.encode(capsule.components)),
    }
    members |= {
        f"definitions/{name}.json": _whole(raw)
        for name, raw in capsule.definitions.items()
    }
    if capsule.proofs is not None:
        members[PROOFS] = _whole(capsule.proofs)
    payloads = {f"blobs/{sha}": sha for sha in capsule.blobs}
    hashes = {name: member.sha256 for name, member in members.items()} | payloads
    manifest = codec.encode({**capsule.manifest, "format": FORMAT, "sha256": hashes})
    with zipfile.ZipFile(file, "w") as archive:
        _add(archive, MANIFEST, _whole(manifest))
        for name in sorted(hashes):
            _add(
                archive,
                name,
                members[name]
                if name in members
                else _whole(capsule.blobs[payloads[name]]),
            )


def _add(archive: zipfile.ZipFile, name: str, member: _Member) -> None:
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.create_system, info.external_attr = 3, 0o644 << 16
    info.compress_type = member.method
    info.file_size = member.size
    with archive.open(info, "w") as out:
        for piece in member.pieces():
            out.write(piece)


def _whole(raw: bytes) -> _Member:
    return _measured(lambda: (raw,))


def _measured(pieces: Callable[[], Iterable[bytes]]) -> _Member:
    digest = hashlib.sha256()
    size = 0
    for piece in pieces():
        digest.update(piece)
        size += len(piece)
    shrinks = size <= LARGE or size <= RATIO * _packed(pieces())
    return _Member(
        digest.hexdigest(),
        size,
        zipfile.ZIP_DEFLATED if shrinks else zipfile.ZIP_STORED,
        pieces,
    )


def _packed(pieces: Iterable[bytes]) -> int:
    packer = zlib.compressobj(_LEVEL)
    return sum(len(packer.compress(piece)) for piece in pieces) + len(packer.flush())


def _joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Put lines together to pieces, as each costs a call."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE:
            yield b"".join(held)
            held = []
            size = 0
    yield b"".join(held)


def _line(event: RawEvent) -> dict[str, Json]:
    line: dict[str, Json] = {
        "version": event.version,
        "n": event.n,
        "time_ms": event.time_ms,
        "commit": event.commit,
        "actor": event.actor,
        "cause": event.cause,
        "type": event.type,
        **_text("data", event.data),
    }
    return line | (_text("metadata", event.metadata) if event.metadata else {})


def _text(name: str, raw: bytes) -> dict[str, str]:
    """Return bytes as a text where they are one, else in base64."""
    try:
        return {name: raw.decode("utf-8", "surrogatepass")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw).decode()}
