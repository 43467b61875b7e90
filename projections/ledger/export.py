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
from projections.ledger.proofs import read_stored, stored_data
from projections.ledger.redactions import payloads

EXPORT_FORMAT: Final = "openagents-ledger/1"
MANIFEST: Final = "ledger.json"
EVENTS_TIMES: Final = 8
"""Events are not held, so of them so many times more are unpacked."""

T = TypeVar("T")


def write_export(store: LedgerStore, file: IO[bytes]) -> LedgerRecords:
    """Write the whole ledger to a file, one partition after the other."""
    said = whole(
        store
    )  # what was signed last, not after what is read: that has to be there
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for found in read_partitions(store):
            _write_partition(archive, found)
        archive.writestr(MANIFEST, _line(_whole_data(said)))
    return said


def _whole_data(said: LedgerRecords) -> dict[str, Any]:
    return {
        "format": EXPORT_FORMAT,
        "ledger": said.ledger,
        "partitions": said.partitions,
        "keys": {name: key.hex() for name, key in said.keys.items()},
        "statement": said.statement.decode(),
        "statement_signature": said.statement_signature.hex(),
    }


def _write_partition(archive: zipfile.ZipFile, found: Partition) -> None:
    name = str(found.partition)
    for kind, by_epoch in (("leaves", found.leaves), ("salts", found.salts)):
        for epoch, joined in by_epoch.items():
            archive.writestr(f"{name}/{kind}/{epoch}", joined)
    with archive.open(f"{name}/log.jsonl", "w", force_zip64=True) as out:
        for entry in found.log:
            out.write(
                _line([entry.n, entry.time_ms, entry.stream, entry.first, entry.last])
            )
    named: dict[str, None] = {}
    with archive.open(f"{name}/events.jsonl", "w", force_zip64=True) as out:
        for event in found.events:
            out.write(_line(stored_data(event)))
            named.update(dict.fromkeys(payloads(event)))
    for sha in named:
        raw = found.blob(sha)
        if raw is not None:
            archive.writestr(f"{name}/blobs/{sha}", raw)
    archive.writestr(
        f"{name}/partition.json", _line(_partition_data(found))
    )  # last: events may have been erased


def _partition_data(found: Partition) -> dict[str, Any]:
    head, erased = found.now()
    return {
        "head": head,
        "checkpoint": found.checkpoint,
        "open_epoch": found.open_epoch,
        "open_first": found.open_first,
        "epochs": [
            [e.number, e.record.decode("utf-8", "surrogatepass"), e.signature.hex()]
            for e in found.epochs
        ],
        "erased": {str(n): committed.hex() for n, committed in erased.items()},
    }


def _line(value: Any) -> bytes:
    return (
        json.dumps(
            value, ensure_ascii=True, sort_keys=True, separators=(",", ":")
        ).encode()
        + b"\n"
    )


class Export:
    """An export that is open for reading."""

    def __init__(
        self, archive: zipfile.ZipFile, where: str, limit: int = MOST_BYTES
    ) -> None:
        self._archive, self._where, self._limit = archive, where, limit
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
        statement = (
            data["statement"].encode(),
            bytes.fromhex(data["statement_signature"]),
        )
        return LedgerRecords(
            str(data["ledger"]), int(data["partitions"]), keys, *statement
        )

    def _partition(self, partition: int) -> Partition:
        held = self._unpacking()
        data = codec.decode_foreign(held.read(f"{partition}/partition.json"))
        epochs = [
            Epoch(int(n), str(raw).encode("utf-8", "surrogatepass"), bytes.fromhex(s))
            for n, raw, s in data["epochs"]
        ]
        numbers = (
            int(data["head"]),
            int(data["checkpoint"]),
            int(data["open_epoch"]),
            int(data["open_first"]),
        )
        return Partition(
            partition,
            *numbers,
            epochs,
            self._by_epoch(held, partition, "leaves"),
            self._by_epoch(held, partition, "salts"),
            {
                int(n): bytes.fromhex(committed)
                for n, committed in data["erased"].items()
            },
            self._lines(
                held,
                partition,
                "log",
                lambda x: LogEntry(int(x[0]), int(x[1]), str(x[2]), *map(int, x[3:])),
            ),
            self._lines(
                self._unpacking(EVENTS_TIMES), partition, "events", read_stored
            ),
            lambda sha: self._blob(f"{partition}/blobs/{sha}"),
        )

    def _blob(self, name: str) -> bytes | None:
        return self._guarded(
            lambda: (
                self._unpacking().read(name)
                if name in self._archive.NameToInfo
                else None
            )
        )

    def _by_epoch(
        self, held: Unpacking, partition: int, kind: str
    ) -> Mapping[int, bytes]:
        prefix = f"{partition}/{kind}/"
        names = [name for name in self._archive.namelist() if name.startswith(prefix)]
        return {int(name.removeprefix(prefix)): held.read(name) for name in names}

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
