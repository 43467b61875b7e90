"""The ledger with the log as one file, for checks without the store: a zip of what `evidence` reads, byte for byte."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, TypeVar

from eventstore.ledger_store import Epoch, LedgerStore, LogEntry
from projections.errors import EvidenceUnreadable
from projections.ledger.evidence import Partition, Whole, read_partitions, whole
from projections.ledger.proofs import read_stored, stored_data
from projections.ledger.redactions import payloads

EXPORT_FORMAT: Final = "openagents-ledger/1"
MANIFEST: Final = "ledger.json"
T = TypeVar("T")
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    RecursionError,
)


def write_export(store: LedgerStore, file: IO[bytes]) -> Whole:
    """Write the whole ledger to a file, one partition after the other."""
    said = whole(store)  # what was signed last, not after what is read: that has to be there
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for found in read_partitions(store):
            _write_partition(archive, found)
        archive.writestr(MANIFEST, _line(_whole_data(said)))
    return said


def _whole_data(said: Whole) -> dict[str, Any]:
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
    data = {
        "head": found.head,
        "checkpoint": found.checkpoint,
        "open_epoch": found.open_epoch,
        "open_first": found.open_first,
        "epochs": [[e.number, e.record.decode("utf-8", "surrogatepass"), e.signature.hex()] for e in found.epochs],
        "erased": {str(n): committed.hex() for n, committed in found.erased.items()},
    }
    archive.writestr(f"{name}/partition.json", _line(data))
    for kind, by_epoch in (("leaves", found.leaves), ("salts", found.salts)):
        for epoch, joined in by_epoch.items():
            archive.writestr(f"{name}/{kind}/{epoch}", joined)
    with archive.open(f"{name}/log.jsonl", "w", force_zip64=True) as out:
        for entry in found.log:
            out.write(_line([entry.n, entry.time_ms, entry.stream, entry.first, entry.last]))
    with archive.open(f"{name}/events.jsonl", "w", force_zip64=True) as out:
        for event in found.events:
            out.write(_line(stored_data(event)))
    for sha in dict.fromkeys(sha for event in found.events for sha in payloads(event)):
        raw = found.blob(sha)
        if raw is not None:
            archive.writestr(f"{name}/blobs/{sha}", raw)


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode() + b"\n"


class Export:
    """An export that is open for reading."""

    def __init__(self, archive: zipfile.ZipFile, where: str) -> None:
        self._archive, self._where = archive, where
        self.whole = self._guarded(self._whole)

    def partition(self, partition: int) -> Partition:
        """Read a partition.

        Raises EvidenceUnreadable.
        """
        return self._guarded(lambda: self._partition(partition))

    def _guarded(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except _DAMAGE as error:
            raise EvidenceUnreadable(self._where, f"it is damaged ({type(error).__name__}: {error})") from error

    def _whole(self) -> Whole:
        data = json.loads(self._archive.read(MANIFEST))
        if data["format"] != EXPORT_FORMAT:
            raise ValueError(f"its format is {data['format']!r}, not {EXPORT_FORMAT!r}")
        keys = {str(name): bytes.fromhex(key) for name, key in data["keys"].items()}
        statement = data["statement"].encode(), bytes.fromhex(data["statement_signature"])
        return Whole(str(data["ledger"]), int(data["partitions"]), keys, *statement)

    def _partition(self, partition: int) -> Partition:
        data = json.loads(self._archive.read(f"{partition}/partition.json"))
        epochs = [
            Epoch(int(n), str(raw).encode("utf-8", "surrogatepass"), bytes.fromhex(s)) for n, raw, s in data["epochs"]
        ]
        numbers = int(data["head"]), int(data["checkpoint"]), int(data["open_epoch"]), int(data["open_first"])
        return Partition(
            partition,
            *numbers,
            epochs,
            self._by_epoch(partition, "leaves"),
            self._by_epoch(partition, "salts"),
            {int(n): bytes.fromhex(committed) for n, committed in data["erased"].items()},
            [LogEntry(int(n), int(ms), str(r), int(f), int(t)) for n, ms, r, f, t in self._lines(partition, "log")],
            [read_stored(item) for item in self._lines(partition, "events")],
            lambda sha: self._blob(f"{partition}/blobs/{sha}"),
        )

    def _blob(self, name: str) -> bytes | None:
        return self._guarded(lambda: self._archive.read(name) if name in self._archive.namelist() else None)

    def _by_epoch(self, partition: int, kind: str) -> Mapping[int, bytes]:
        prefix = f"{partition}/{kind}/"
        names = [name for name in self._archive.namelist() if name.startswith(prefix)]
        return {int(name.removeprefix(prefix)): self._archive.read(name) for name in names}

    def _lines(self, partition: int, kind: str) -> Iterator[Any]:
        with self._archive.open(f"{partition}/{kind}.jsonl") as lines:
            for line in lines:
                yield json.loads(line)


@contextmanager
def open_export(path: Path) -> Iterator[Export]:
    """Open an export.

    Raises EvidenceUnreadable.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise EvidenceUnreadable(str(path), f"it is no export ({error})") from error
    with archive:
        yield Export(archive, str(path))
