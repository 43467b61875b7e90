"""The ledger with the log as one file, for checks without the store: a zip of what `evidence` reads, byte for byte."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from eventstore import codec
from eventstore.errors import TooLarge
from eventstore.redis.ledger import Epoch, LedgerStore, LogEntry
from eventstore.zip_reader import DAMAGE, MOST_BYTES, Unpacking
from projections.errors import EvidenceUnreadable
from projections.ledger.evidence import LedgerRecords, Partition, read_partitions, whole
from projections.ledger.proofs.encoding import read_stored, stored_data
from projections.ledger.redactions import payloads

EXPORT_FORMAT: Final = "openagents-ledger/1"
MANIFEST: Final = "ledger.json"
EVENTS_TIMES: Final = 8
"""Events are not held, so of them so many times more are unpacked."""

T = TypeVar("T")


def write_export(store: LedgerStore, file: IO[bytes]) -> LedgerRecords:
    """Write the whole ledger to a file, one partition after the other."""
    # First what was signed last, then the partitions: all that it names has to be among what is read after it.
    ledger_records = whole(store)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for evidence in read_partitions(store):
            _write_partition(archive, evidence)
        archive.writestr(MANIFEST, _line(_whole_data(ledger_records)))
    return ledger_records


def _whole_data(ledger_records: LedgerRecords) -> dict[str, Any]:
    return {
        "format": EXPORT_FORMAT,
        "ledger": ledger_records.ledger,
        "partitions": ledger_records.partitions,
        "keys": {name: key.hex() for name, key in ledger_records.keys.items()},
        "statement": ledger_records.statement.decode(),
        "statement_signature": ledger_records.statement_signature.hex(),
    }


def _write_partition(archive: zipfile.ZipFile, evidence: Partition) -> None:
    name = str(evidence.partition)
    for kind, by_epoch in (("leaves", evidence.leaves), ("salts", evidence.salts)):
        for epoch, joined in by_epoch.items():
            archive.writestr(f"{name}/{kind}/{epoch}", joined)
    with archive.open(f"{name}/log.jsonl", "w", force_zip64=True) as out:
        for entry in evidence.log:
            fields = [entry.n, entry.time_ms, entry.stream, entry.first, entry.last]
            out.write(_line(fields))
    payload_hashes: dict[str, None] = {}
    with archive.open(f"{name}/events.jsonl", "w", force_zip64=True) as out:
        for event in evidence.events:
            out.write(_line(stored_data(event)))
            payload_hashes.update(dict.fromkeys(payloads(event)))
    for sha in payload_hashes:
        raw = evidence.blob(sha)
        if raw is not None:
            archive.writestr(f"{name}/blobs/{sha}", raw)
    # Last, because events may have been erased while they were read.
    archive.writestr(f"{name}/partition.json", _line(_partition_data(evidence)))


def _partition_data(evidence: Partition) -> dict[str, Any]:
    head, erased = evidence.now()
    return {
        "head": head,
        "checkpoint": evidence.checkpoint,
        "open_epoch": evidence.open_epoch,
        "open_first": evidence.open_first,
        "epochs": [
            [e.number, e.record.decode("utf-8", "surrogatepass"), e.signature.hex()]
            for e in evidence.epochs
        ],
        "erased": {str(n): committed.hex() for n, committed in erased.items()},
    }


def _line(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return text.encode() + b"\n"


def _log_entry(fields: Any) -> LogEntry:
    n = int(fields[0])
    time_ms = int(fields[1])
    stream = str(fields[2])
    return LogEntry(n, time_ms, stream, *map(int, fields[3:]))


class Export:
    """An export that is open for reading."""

    def __init__(
        self, archive: zipfile.ZipFile, where: str, limit: int = MOST_BYTES
    ) -> None:
        self._archive = archive
        self._where = where
        self._limit = limit
        self.whole = self._guarded(self._whole)

    def partition(self, partition: int) -> Partition:
        """Read a partition; its log and its events while one goes through them.

        Raises EvidenceUnreadable, also while one goes through them.
        """
        return self._guarded(lambda: self._partition(partition))

    def _guarded(self, read: Callable[[], T]) -> T:
        with self._guard():
            return read()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except TooLarge as error:
            raise EvidenceUnreadable(self._where, str(error)) from error
        except DAMAGE as error:
            raise EvidenceUnreadable(
                self._where, f"it is damaged ({type(error).__name__}: {error})"
            ) from error

    def _unpacking(self, times: int = 1) -> Unpacking:
        return Unpacking(self._archive, self._limit * times)

    def _whole(self) -> LedgerRecords:
        data = codec.decode_foreign(self._unpacking().read(MANIFEST))
        if data["format"] != EXPORT_FORMAT:
            raise ValueError(f"its format is {data['format']!r}, not {EXPORT_FORMAT!r}")
        keys = {str(name): bytes.fromhex(key) for name, key in data["keys"].items()}
        return LedgerRecords(
            ledger=str(data["ledger"]),
            partitions=int(data["partitions"]),
            keys=keys,
            statement=data["statement"].encode(),
            statement_signature=bytes.fromhex(data["statement_signature"]),
        )

    def _partition(self, partition: int) -> Partition:
        unpacking = self._unpacking()
        data = codec.decode_foreign(unpacking.read(f"{partition}/partition.json"))
        epochs = [
            Epoch(int(n), str(raw).encode("utf-8", "surrogatepass"), bytes.fromhex(s))
            for n, raw, s in data["epochs"]
        ]
        erased = {
            int(n): bytes.fromhex(committed) for n, committed in data["erased"].items()
        }
        # Events get a limit of their own: they are not held.
        events = self._unpacking(EVENTS_TIMES)
        return Partition(
            partition=partition,
            head=int(data["head"]),
            checkpoint=int(data["checkpoint"]),
            open_epoch=int(data["open_epoch"]),
            open_first=int(data["open_first"]),
            epochs=epochs,
            leaves=self._by_epoch(unpacking, partition, "leaves"),
            salts=self._by_epoch(unpacking, partition, "salts"),
            erased=erased,
            log=self._lines(unpacking, partition, "log", _log_entry),
            events=self._lines(events, partition, "events", read_stored),
            blob=lambda sha: self._blob(f"{partition}/blobs/{sha}"),
        )

    def _blob(self, name: str) -> bytes | None:
        if name not in self._archive.NameToInfo:
            return None
        return self._guarded(lambda: self._unpacking().read(name))

    def _by_epoch(
        self, unpacking: Unpacking, partition: int, kind: str
    ) -> Mapping[int, bytes]:
        prefix = f"{partition}/{kind}/"
        names = [name for name in self._archive.namelist() if name.startswith(prefix)]
        return {int(name.removeprefix(prefix)): unpacking.read(name) for name in names}

    def _lines(
        self, unpacking: Unpacking, partition: int, kind: str, read: Callable[[Any], T]
    ) -> Iterator[T]:
        with self._guard():
            yield from (
                read(codec.decode_foreign(line))
                for line in unpacking.lines(f"{partition}/{kind}.jsonl")
            )


@contextmanager
def open_export(path: Path, limit: int = MOST_BYTES) -> Iterator[Export]:
    """Open an export; of a partition no more than `limit` bytes are unpacked beside its events, which are not held.

    Raises EvidenceUnreadable.
    """
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise EvidenceUnreadable(str(path), f"it is no export ({error})") from error
    with archive:
        yield Export(archive, str(path), limit)
