"""What the ledger says, as bytes: commitments to payloads, leaves, the chain, and the signed records of epochs.

    commitment = SHA-256(salt | length of data, 8 bytes | data | metadata)
    leaf       = SHA-256(0x00 | canonical JSON of ["openagents-event/1", partition, position, stream, version,
                 time in ms, commit, actor, cause, type, hexadecimal commitment])
    chain      = SHA-256(0x02 | chain before | leaf), 32 zero bytes before the first
    record     = canonical JSON of an epoch: its range of positions, the root of its Merkle tree (RFC 6962), the
                 chain after it, and the SHA-256 of the record before; signed with Ed25519

A payload can be erased: the commitment, which is kept, says nothing about it without its salt. A position where nothing
stood when it was sealed has a leaf of zero bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from eventstore import codec
from eventstore.redis.ledger import LEAF_BYTES, SALT_BYTES, Stored
from projections.ledger.merkle import leaf_hash

EVENT_FORMAT: Final = "openagents-event/1"
EPOCH_FORMAT: Final = "openagents-epoch/1"
STATEMENT_FORMAT: Final = "openagents-statement/1"
ABSENT: Final = bytes(LEAF_BYTES)
NO_SALT: Final = bytes(SALT_BYTES)


def commitment(salt: bytes, event: Stored) -> bytes:
    """Return the commitment to what an event carries."""
    return hashlib.sha256(
        salt + len(event.data).to_bytes(8, "big") + event.data + event.metadata
    ).digest()


def leaf(
    partition: int,
    event: Stored,
    committed: bytes,
    *,
    n: int | None = None,
    version: int | None = None,
) -> bytes:
    """Return the leaf of an event, or the one that it would have at another position or as another version."""
    fields = [
        EVENT_FORMAT,
        partition,
        event.n if n is None else n,
        event.stream,
        event.version if version is None else version,
        event.time_ms,
        event.commit,
        event.actor,
        event.cause,
        event.type,
        committed.hex(),
    ]
    return leaf_hash(codec.encode(fields))


def chained(chain: bytes, leaves: Iterable[bytes]) -> bytes:
    """Return the chain after some leaves."""
    for item in leaves:
        chain = hashlib.sha256(b"\2" + chain + item).digest()
    return chain


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What is signed of an epoch; hashes are hexadecimal, `previous` is empty for the first epoch."""

    ledger: str
    partition: int
    epoch: int
    first: int
    last: int
    root: str
    chain: str
    previous: str
    time_ms: int
    key: str

    @property
    def size(self) -> int:
        """Return the number of positions of the epoch."""
        return self.last - self.first + 1


_FIELDS: Final = {
    "ledger": str,
    "partition": int,
    "epoch": int,
    "first": int,
    "last": int,
    "root": str,
    "chain": str,
    "previous": str,
    "time_ms": int,
    "key": str,
}


_HASH: Final = re.compile(r"[0-9a-f]{64}")


def encode_record(record: EpochRecord) -> bytes:
    """Return the bytes that are signed."""
    return codec.encode(
        {"format": EPOCH_FORMAT, **{name: getattr(record, name) for name in _FIELDS}}
    )


def decode_record(raw: bytes) -> EpochRecord | None:
    """Read a record back; None when it is none."""
    data = _object(raw)
    if data.get("format") != EPOCH_FORMAT:
        return None
    is_malformed = any(
        type(data.get(name)) is not kind for name, kind in _FIELDS.items()
    )
    if is_malformed:
        return None
    record = EpochRecord(**{name: data[name] for name in _FIELDS})
    has_hashes = _HASH.fullmatch(record.root) and _HASH.fullmatch(record.chain)
    if not has_hashes or record.size <= 0:
        return None
    # Only canonical bytes are a record, so that one record has one digest.
    return record if encode_record(record) == raw else None


@dataclass(frozen=True, slots=True)
class Statement:
    """What is signed of all partitions together: for each, its last closed epoch and the SHA-256 of its record."""

    ledger: str
    time_ms: int
    key: str
    heads: Mapping[int, tuple[int, str]]


def encode_statement(statement: Statement) -> bytes:
    """Return the bytes that are signed."""
    heads = {str(partition): list(head) for partition, head in statement.heads.items()}
    return codec.encode(
        {
            "format": STATEMENT_FORMAT,
            "ledger": statement.ledger,
            "time_ms": statement.time_ms,
            "key": statement.key,
            "heads": heads,
        }
    )


def decode_statement(raw: bytes) -> Statement | None:
    """Read a statement back; None when it is none."""
    data = _object(raw)
    if data.get("format") != STATEMENT_FORMAT:
        return None
    try:
        heads = {
            int(partition): (int(epoch), str(record))
            for partition, (epoch, record) in data["heads"].items()
        }
        statement = Statement(
            ledger=str(data["ledger"]),
            time_ms=int(data["time_ms"]),
            key=str(data["key"]),
            heads=heads,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return statement if encode_statement(statement) == raw else None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        data = codec.decode(raw)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def digest(raw: bytes) -> str:
    """Return the SHA-256 of bytes, hexadecimal."""
    return hashlib.sha256(raw).hexdigest()
