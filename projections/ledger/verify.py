"""Checking a ledger as a whole: whatever was changed, removed, inserted or moved since it was sealed is named.

The records are checked first, by signature and each against the one before; then the leaves against the records; then
the events against the leaves. What does not fit is told apart by trying where else it would fit.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventstore.ledger_store import SALT_BYTES, Epoch, LogEntry, Stored
from projections.ledger.evidence import Partition, Whole
from projections.ledger.findings import (
    CHANGED,
    ERASED,
    INSERTED,
    LEDGER,
    MOVED,
    REMOVED,
    SIGNATURE,
    Audit,
    Finding,
)
from projections.ledger.merkle import root, split
from projections.ledger.records import (
    ABSENT,
    EpochRecord,
    chained,
    commitment,
    decode_record,
    decode_statement,
    digest,
    leaf,
)
from projections.ledger.redactions import Erasures, amiss, archived_positions
from projections.ledger.signing import signed

LARGEST_COMMIT: Final = 1_000_000
TRIED: Final = 200
"""Among how many events that do not fit it is tried which of them changed places."""

MOST_TRIES: Final = 8_000_000
"""And how often at most, so that what was made to take long does not."""


def check_partition(found: Partition, ledger: str, keys: Mapping[str, bytes]) -> Audit:
    """Check a partition; `keys` are the public keys that are trusted, by name."""
    work = _Work(found, ledger, keys)
    signed_to = work.records()
    work.events(signed_to)
    return work.audit()


def check_whole(said: Whole, keys: Mapping[str, bytes], epochs: Mapping[int, Sequence[Epoch]]) -> list[Finding]:
    """Check what was signed last of all partitions: epochs that were taken from the end are missed."""
    if not said.statement:
        what = "epochs are signed, and the statement about all partitions, which is signed with them, is gone"
        return [Finding(0, 0, LEDGER, "", 0, what)] if any(epochs.values()) else []
    statement = decode_statement(said.statement)
    if statement is None or statement.ledger != said.ledger:
        return [
            Finding(0, 0, LEDGER, "", 0, "the statement about all partitions cannot be read, or is another ledger's")
        ]
    if statement.key not in keys or not signed(keys[statement.key], said.statement, said.statement_signature):
        return [
            Finding(0, 0, SIGNATURE, "", 0, f"the statement about all partitions is not signed by key {statement.key}")
        ]
    return [
        found
        for partition, head in statement.heads.items()
        for found in missed(partition, *head, epochs.get(partition, ()))
    ]


def missed(partition: int, number: int, record: str, epochs: Sequence[Epoch]) -> list[Finding]:
    """Tell whether an epoch that somebody knows of is there as it was."""
    known = {epoch.number: epoch for epoch in epochs}
    if number not in known:
        last = max(known, default=0)
        return [
            Finding(partition, 0, LEDGER, "", 0, f"epoch {number} is known to have been signed, and {last} is the last")
        ]
    if digest(known[number].record) != record:
        return [Finding(partition, 0, LEDGER, "", 0, f"epoch {number} is another one than was signed before")]
    return []


@dataclass(slots=True)
class _Work:
    found: Partition
    ledger: str
    keys: Mapping[str, bytes]
    findings: list[Finding] = field(default_factory=list)
    leaves: dict[int, bytes] = field(default_factory=dict)
    salts: dict[int, bytes] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, what: str, n: int = 0, run: str = "", version: int = 0) -> None:
        self.findings.append(Finding(self.found.partition, n, kind, run, version, what))

    # -- records and leaves ------------------------------------------------------------------------------

    def records(self) -> int:
        """Check the closed epochs one after the other; gives the last position that they reach.

        An epoch whose record does not hold is gone through all the same, so that what comes after it can be checked.
        """
        last, previous, chain, valid = 0, "", ABSENT, 0
        known = {epoch.number: epoch for epoch in self.found.epochs}
        for number in self._numbers(known):
            epoch = known.get(number)
            record = self._record(number, epoch)
            if record is None:  # nothing that it says is to be believed, also not how long it is
                leaves = self._leaves(number, last + 1, None)
                self.doubtful.update(range(last + 1, last + 1 + len(leaves)))
                last, chain = last + len(leaves), chained(chain, leaves)
            else:
                if record.first != last + 1 or record.previous != previous:
                    self.note(LEDGER, f"the record of epoch {number} does not follow the one before it")
                chain = self._tree(record, self._leaves(number, record.first, record.size), chain)
                last, valid = record.last, valid + 1
            previous = "" if epoch is None else digest(epoch.record)
        self.counts["epochs"] = valid
        self._leaves(self.found.open_epoch, last + 1, self.found.checkpoint - last)
        return last

    def _numbers(self, known: Mapping[int, Epoch]) -> list[int]:
        """Give the closed epochs of which there is anything, and note those of which there is nothing."""
        there = sorted({*known, *(number for number in self.found.leaves if 0 < number < self.found.open_epoch)})
        for before, number in itertools.pairwise([0, *there, self.found.open_epoch]):
            if number > before + 1:
                self.note(LEDGER, f"nothing is there of epochs {before + 1} to {number - 1}")
        return there

    def _record(self, number: int, epoch: Epoch | None) -> EpochRecord | None:
        """Read a record; None when it is not the one of this epoch as it was signed."""
        where, record = f"the record of epoch {number}", None if epoch is None else decode_record(epoch.record)
        if epoch is None:
            self.note(LEDGER, f"{where} is missing")
        elif record is None:
            self.note(LEDGER, f"{where} cannot be read")
        elif record.key not in self.keys:
            self.note(SIGNATURE, f"{where} is signed by key {record.key}, which is not one of those that are trusted")
        elif not signed(self.keys[record.key], epoch.record, epoch.signature):
            self.note(SIGNATURE, f"{where} is not as key {record.key} signed it")
        elif (record.ledger, record.partition, record.epoch) != (self.ledger, self.found.partition, number):
            other = f"epoch {record.epoch} of partition {record.partition} of ledger {record.ledger}"
            self.note(LEDGER, f"{where} is that of {other}")
        else:
            return record
        return None

    def _leaves(self, epoch: int, first: int, wanted: int | None) -> list[bytes]:
        """Give the leaves of an epoch; `wanted` is how many there have to be, where that is known."""
        leaves = split(self.found.leaves.get(epoch, b""))
        joined = self.found.salts.get(epoch, b"")
        size = len(leaves) if wanted is None else max(0, wanted)
        for i, item in enumerate(leaves[:size]):
            self.leaves[first + i] = item
            self.salts[first + i] = joined[i * SALT_BYTES : (i + 1) * SALT_BYTES]
        if len(leaves) != size or len(joined) != size * SALT_BYTES:
            there = f"{len(leaves)} leaves and {len(joined) // SALT_BYTES} salts"
            self.note(LEDGER, f"epoch {epoch} has {size} positions, {there}")
        return leaves

    def _tree(self, record: EpochRecord, leaves: Sequence[bytes], chain: bytes) -> bytes:
        """Check the leaves of an epoch against its record; gives the chain after it."""
        if root(leaves).hex() != record.root:
            self.note(LEDGER, f"the leaves of epoch {record.epoch} are not those that were signed")
            self.doubtful.update(range(record.first, record.first + len(leaves)))  # not to where it claims to end
        elif chained(chain, leaves).hex() != record.chain:
            self.note(LEDGER, f"the chain of epoch {record.epoch} does not follow from the one before it")
        return bytes.fromhex(record.chain)

    # -- events ------------------------------------------------------------------------------------------

    def events(self, signed_to: int) -> None:
        """Check the events against the leaves, and name what does not fit."""
        erasures = Erasures.of(self.found.events)
        fitting: dict[int, Stored] = {}
        odd: list[Stored] = []
        unsealed: dict[int, Stored] = {}
        for event in self.found.events:
            if self._fits(event) and event.n not in fitting:
                fitting[event.n] = event
                self._erased(event, erasures)
                self._payloads(event)
            elif self.found.checkpoint < event.n <= self.found.head and event.n not in unsealed:
                unsealed[event.n] = event
            else:
                odd.append(event)
        archived = archived_positions([*fitting.values(), *unsealed.values()])
        missing = {n for n, item in self.leaves.items() if n not in fitting and item != ABSENT}
        gone = {n for n in missing if archived(n)}
        self.counts["archived"] = len(gone)
        self._explain(odd, missing - gone)
        self._log(fitting)
        self.counts["verified"] = sum(n <= signed_to and n not in self.doubtful for n in fitting)
        self.counts["chained"] = sum(n > signed_to for n in fitting)
        self.counts["unsealed"] = len(unsealed)

    def _commitments(self, event: Stored, n: int) -> list[bytes]:
        """Give what was committed to at a position, if this event stood there: its payload, or an erased one."""
        found = [commitment(self.salts[n], event)] if any(self.salts.get(n, b"")) else []
        return found + ([self.found.erased[n]] if n in self.found.erased else [])

    def _fits(self, event: Stored, n: int | None = None, version: int | None = None) -> bool:
        place = event.n if n is None else n
        wanted = self.leaves.get(place)
        return wanted is not None and any(
            leaf(self.found.partition, event, committed, n=place, version=version) == wanted
            for committed in self._commitments(event, place)
        )

    def _erased(self, event: Stored, erasures: Erasures) -> None:
        """An event whose payload is erased has to be named by a record of its run, with what stands there now."""
        salt = self.salts[event.n]
        if any(salt) and leaf(self.found.partition, event, commitment(salt, event)) == self.leaves[event.n]:
            return
        self.counts["erased"] = self.counts.get("erased", 0) + 1
        if not erasures.cover(event, self.found.erased[event.n]):
            what = f"{event.type} is marked as erased, and no record of the run says that it was"
            self.note(ERASED, what, event.n, event.stream, event.version)

    def _payloads(self, event: Stored) -> None:
        """An event names payloads beside the log by their hashes."""
        for kind, what in amiss(event, self.found.blob):
            self.note(kind, what, event.n, event.stream, event.version)

    def _explain(self, odd: Sequence[Stored], missing: set[int]) -> None:
        place_of = _places(_entries(self.found.log))
        versions = sorted({event.version for event in odd})
        left = set(missing)
        few = len(odd) <= TRIED and len(odd) * len(left) * len(versions) <= MOST_TRIES
        for event in odd:
            place = self._other_place(event, left, versions) if few else None
            if place is not None:
                left.discard(place[0])
                what = f"{event.type} was sealed at position {place[0]} as event {place[1]}"
                self.note(MOVED, what, event.n, event.stream, event.version)
        moved = {(found.run, found.version) for found in self.findings if found.kind == MOVED}
        for event in odd:
            if (event.stream, event.version) in moved:
                continue
            if event.n in left:
                left.discard(event.n)
                self.note(CHANGED, f"{event.type} is not what was sealed", event.n, event.stream, event.version)
            else:
                self.note(INSERTED, f"{event.type} was never sealed here", event.n, event.stream, event.version)
        for n in sorted(left):
            run, version = place_of(n) or ("", 0)
            self.note(REMOVED, "an event that was sealed here is gone", n, run, version)

    def _other_place(self, event: Stored, missing: set[int], versions: Sequence[int]) -> tuple[int, int] | None:
        for n in sorted(missing):
            for version in versions:
                if (n, version) != (event.n, event.version) and self._fits(event, n, version):
                    return n, version
        return None

    def _log(self, fitting: Mapping[int, Stored]) -> None:
        """The log of the partition says where events stand; it has to say so of those that were sealed."""
        entries = _entries(self.found.log)
        place_of = _places(entries)
        for before, entry in itertools.pairwise(entries):
            if entry.n - _size(entry) < before.n:
                self.note(LEDGER, "the log has another entry here as well", entry.n, entry.stream, entry.last)
        for n, event in fitting.items():
            there = place_of(n)
            if there != (event.stream, event.version):
                what = (
                    "the log does not name it" if there is None else f"the log has event {there[1]} of {there[0]} here"
                )
                self.note(LEDGER, what, n, event.stream, event.version)

    def audit(self) -> Audit:
        """Give what was found."""
        count = self.counts.get
        return Audit(
            tuple(self.findings),
            verified=count("verified", 0),
            erased=count("erased", 0),
            chained=count("chained", 0),
            unsealed=count("unsealed", 0),
            archived=count("archived", 0),
            epochs=count("epochs", 0),
        )


def _size(entry: LogEntry) -> int:
    return entry.last - entry.first + 1


def _entries(log: Sequence[LogEntry]) -> list[LogEntry]:
    """Give the entries of a log in order; one that names more than a commit can have is none."""
    return sorted((x for x in log if 0 < _size(x) <= min(x.n, LARGEST_COMMIT)), key=lambda entry: entry.n)


def _places(entries: Sequence[LogEntry]) -> Callable[[int], tuple[str, int] | None]:
    """Tell the run and the version that the log has at a position, however many an entry claims."""
    ends = [entry.n for entry in entries]

    def place_of(n: int) -> tuple[str, int] | None:
        at = bisect.bisect_left(ends, n)
        if at == len(ends) or n <= ends[at] - _size(entries[at]):
            return None
        return entries[at].stream, entries[at].last - (ends[at] - n)

    return place_of
