"""A ledger's store in memory, as the checks look at it, and files that are made of it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from eventstore.redis.ledger import Epoch, LedgerPosition, LogEntry, Stored
from eventstore.redis.raw import RawEvent
from openagents_json.engine.archive.capsule_file import Capsule
from openagents_json.engine.archive.capsule_writer import write
from projections.ledger.evidence import Partition
from projections.ledger.export import write_export
from projections.ledger.proofs.encoding import proof_data
from projections.ledger.proofs.prove import prove
from projections.ledger.records import Statement, digest, encode_statement
from projections.ledger.signing import Signer


class Kept:
    """The port that `LedgerStore` is, over one partition that is in memory."""

    partitions = 1

    def __init__(self, partition: Partition, signer: Signer) -> None:
        self._partition, self._signer, self._events = (
            partition,
            signer,
            list(partition.events),
        )

    def identity(self) -> dict[str, bytes]:
        last = self._partition.epochs[-1]
        statement = encode_statement(
            Statement("l", 9, self._signer.id, {0: (last.number, digest(last.record))})
        )
        signature = self._signer.sign(statement)
        records = {"id": b"l", "statement": statement, "statement_signature": signature}
        return {**records, f"key:{self._signer.id}": self._signer.public}

    def places(self, partitions: Sequence[int]) -> list[LedgerPosition]:
        partition = self._partition
        return [
            LedgerPosition(
                partition.head,
                partition.checkpoint,
                0,
                partition.open_epoch,
                partition.open_first,
                "",
                "",
            )
        ]

    def streams(self) -> dict[int, list[str]]:
        return {0: sorted({event.stream for event in self._events})}

    def each_event(self, streams: Iterable[str]) -> Iterator[Stored]:
        return (
            event for name in streams for event in self._events if event.stream == name
        )

    def log(self, partition: int) -> Iterator[LogEntry]:
        return iter(self._partition.log)

    def epochs(self, partition: int) -> Sequence[Epoch]:
        return self._partition.epochs

    def leaves(self, partition: int, epoch: int) -> bytes:
        return self._partition.leaves[epoch]

    def salts(self, partition: int, epoch: int) -> bytes:
        return self._partition.salts[epoch]

    def erased(self, partition: int) -> dict[int, bytes]:
        return dict(self._partition.erased)

    def blob(self, partition: int, sha: str) -> bytes | None:
        return self._partition.blob(sha)

    def partition_of(self, stream: str) -> int:
        return 0


def export_of(store: Any) -> bytes:
    """Return the export of a ledger."""
    out = io.BytesIO()
    write_export(store, out)
    return out.getvalue()


def capsule_of(store: Any, run: str) -> bytes:
    """Return a run as a capsule with its proofs."""
    stored = list(store.each_event([run]))
    events = tuple(
        RawEvent(
            x.version,
            x.n,
            x.time_ms,
            x.commit,
            x.actor,
            x.cause,
            x.type,
            x.data,
            x.metadata,
        )
        for x in stored
    )
    manifest: dict[str, Any] = {
        "run": run,
        "workflow": "w",
        "version": "1",
        "status": "open",
        "store": "oa",
        "exported_by": "me",
    }
    manifest |= {"exported_ms": 1, "events": len(events), "partition": 0}
    return write(
        Capsule(
            manifest,
            events,
            {},
            {},
            [],
            json.dumps(proof_data(prove(store, run, stored))).encode(),
        )
    )


def contents(raw: bytes) -> dict[str, bytes]:
    """Return the members of a zip file."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes]) -> bytes:
    """Return a zip file of members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return out.getvalue()


def understated(raw: bytes, name: str, size: int) -> bytes:
    """Return a zip file in which a member claims to unpack to another size."""
    out, encoded = bytearray(raw), name.encode()
    for mark, size_at, name_at in ((b"PK\3\4", 22, 30), (b"PK\1\2", 24, 46)):
        at = -1
        while (at := raw.find(mark, at + 1)) >= 0:
            if raw[at + name_at : at + name_at + len(encoded)] == encoded:
                out[at + size_at : at + size_at + 4] = size.to_bytes(4, "little")
    return bytes(out)
