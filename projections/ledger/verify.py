"""Checking a ledger as a whole: whatever was changed, removed, inserted or moved since it was sealed is named.

The records are checked first, by signature and each against the one before; then the leaves against the records; then
the events against the leaves. What does not fit is told apart by trying where else it would fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from eventstore.intervals import Span
from eventstore.redis.ledger import LEAF_BYTES, SALT_BYTES, Epoch
from projections.ledger.evidence import LedgerRecords, Partition
from projections.ledger.findings import (
    LEDGER,
    SIGNATURE,
    Audit,
    Finding,
    record_finding,
)
from projections.ledger.leaves import Leaves
from projections.ledger.merkle import root, split
from projections.ledger.reconciliation import Reconciliation
from projections.ledger.records import (
    ABSENT,
    EpochRecord,
    chained,
    decode_record,
    decode_statement,
    digest,
)
from projections.ledger.signing import signed

PAGE: Final = 1000
"""How many events are looked at together."""


def check_partition(
    evidence: Partition, ledger: str, keys: Mapping[str, bytes]
) -> Audit:
    """Check a partition; `keys` are the public keys that are trusted, by name."""
    work = _Work(evidence, ledger, keys)
    signed_to = work.records()
    work.events(signed_to)
    return work.audit()


def check_whole(
    ledger_records: LedgerRecords,
    keys: Mapping[str, bytes],
    epochs: Mapping[int, Sequence[Epoch]],
) -> list[Finding]:
    """Check what was signed last of all partitions: epochs that were taken from the end are missed."""
    if not ledger_records.statement:
        if not any(epochs.values()):
            return []
        message = "epochs are signed, and the statement about all partitions, which is signed with them, is gone"
        return [record_finding(0, LEDGER, message)]
    statement = decode_statement(ledger_records.statement)
    if statement is None or statement.ledger != ledger_records.ledger:
        message = (
            "the statement about all partitions cannot be read, or is another ledger's"
        )
        return [record_finding(0, LEDGER, message)]
    key = keys.get(statement.key)
    signature = ledger_records.statement_signature
    if key is None or not signed(key, ledger_records.statement, signature):
        message = (
            f"the statement about all partitions is not signed by key {statement.key}"
        )
        return [record_finding(0, SIGNATURE, message)]
    findings: list[Finding] = []
    for partition, head in statement.heads.items():
        findings += missed(partition, *head, epochs.get(partition, ()))
    return findings


def missed(
    partition: int, number: int, record: str, epochs: Sequence[Epoch]
) -> list[Finding]:
    """Tell whether an epoch that somebody knows of is there as it was."""
    by_number = {epoch.number: epoch for epoch in epochs}
    if number not in by_number:
        last = max(by_number, default=0)
        message = f"epoch {number} is known to have been signed, and {last} is the last"
        return [record_finding(partition, LEDGER, message)]
    if digest(by_number[number].record) != record:
        message = f"epoch {number} is another one than was signed before"
        return [record_finding(partition, LEDGER, message)]
    return []


@dataclass(slots=True)
class _Work:
    evidence: Partition
    ledger: str
    keys: Mapping[str, bytes]
    findings: list[Finding] = field(default_factory=list)
    leaves: Leaves = field(default_factory=Leaves)
    doubtful: list[Span] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def note(
        self, kind: str, message: str, n: int = 0, run: str = "", version: int = 0
    ) -> None:
        self.findings.append(
            Finding(
                partition=self.evidence.partition,
                n=n,
                kind=kind,
                run=run,
                version=version,
                what=message,
            )
        )

    # -- records and leaves ------------------------------------------------------------------------------

    def records(self) -> int:
        """Check the closed epochs one after the other; gives the last position that they reach.

        An epoch whose record does not hold is gone through all the same, so that what comes after it can be checked.
        """
        last = valid = 0
        previous = ""
        chain = ABSENT
        by_number = {epoch.number: epoch for epoch in self.evidence.epochs}
        for number in self._numbers(by_number):
            epoch = by_number.get(number)
            record = self._record(number, epoch)
            if record is None:
                # Nothing that it says is to be believed, also not how long it is.
                leaves = self._leaves(number, last + 1, None)
                self.doubtful.append((last + 1, last + len(leaves)))
                last += len(leaves)
                chain = chained(chain, leaves)
            else:
                if record.first != last + 1 or record.previous != previous:
                    message = f"the record of epoch {number} does not follow the one before it"
                    self.note(LEDGER, message)
                leaves = self._leaves(number, record.first, record.size)
                chain = self._tree(record, leaves, chain)
                last = record.last
                valid += 1
            previous = "" if epoch is None else digest(epoch.record)
        self.counts["epochs"] = valid
        self._leaves(
            self.evidence.open_epoch, last + 1, self.evidence.checkpoint - last
        )
        return last

    def _numbers(self, by_number: Mapping[int, Epoch]) -> list[int]:
        """Return the closed epochs of which there is anything, and note those of which there is nothing."""
        open_epoch = self.evidence.open_epoch
        with_leaves = {n for n in self.evidence.leaves if 0 < n < open_epoch}
        numbers = sorted(by_number.keys() | with_leaves)
        for before, number in itertools.pairwise([0, *numbers, open_epoch]):
            if number > before + 1:
                message = f"nothing is there of epochs {before + 1} to {number - 1}"
                self.note(LEDGER, message)
        return numbers

    def _record(self, number: int, epoch: Epoch | None) -> EpochRecord | None:
        """Read a record; None when it is not the one of this epoch as it was signed."""
        where = f"the record of epoch {number}"
        if epoch is None:
            self.note(LEDGER, f"{where} is missing")
            return None
        record = decode_record(epoch.record)
        if record is None:
            self.note(LEDGER, f"{where} cannot be read")
        elif record.key not in self.keys:
            message = f"{where} is signed by key {record.key}, which is not one of those that are trusted"
            self.note(SIGNATURE, message)
        elif not signed(self.keys[record.key], epoch.record, epoch.signature):
            self.note(SIGNATURE, f"{where} is not as key {record.key} signed it")
        elif (record.ledger, record.partition, record.epoch) != (
            self.ledger,
            self.evidence.partition,
            number,
        ):
            other = f"epoch {record.epoch} of partition {record.partition} of ledger {record.ledger}"
            self.note(LEDGER, f"{where} is that of {other}")
        else:
            return record
        return None

    def _leaves(self, epoch: int, first: int, expected: int | None) -> list[bytes]:
        """Return the leaves of an epoch; `expected` is how many there have to be, where that is known."""
        raw = self.evidence.leaves.get(epoch, b"")
        salts = self.evidence.salts.get(epoch, b"")
        leaves = split(raw)
        size = len(leaves) if expected is None else max(0, expected)
        usable = min(size, len(leaves))
        self.leaves.add(first, raw[: usable * LEAF_BYTES], salts)
        if len(leaves) != size or len(salts) != size * SALT_BYTES:
            counts = f"{len(leaves)} leaves and {len(salts) // SALT_BYTES} salts"
            self.note(LEDGER, f"epoch {epoch} has {size} positions, {counts}")
        return leaves

    def _tree(
        self, record: EpochRecord, leaves: Sequence[bytes], chain: bytes
    ) -> bytes:
        """Check the leaves of an epoch against its record; gives the chain after it."""
        if root(leaves).hex() != record.root:
            message = (
                f"the leaves of epoch {record.epoch} are not those that were signed"
            )
            self.note(LEDGER, message)
            # To the last leaf, and not to where the record claims to end.
            self.doubtful.append((record.first, record.first + len(leaves) - 1))
        elif chained(chain, leaves).hex() != record.chain:
            message = f"the chain of epoch {record.epoch} does not follow from the one before it"
            self.note(LEDGER, message)
        return bytes.fromhex(record.chain)

    def events(self, signed_to: int) -> None:
        """Check the events against the leaves, and name what does not fit."""
        fitting = Reconciliation(
            evidence=self.evidence,
            leaves=self.leaves,
            signed_to=signed_to,
            doubtful=self.doubtful,
            note=self.note,
        )
        events = iter(self.evidence.events)
        while page := list(itertools.islice(events, PAGE)):
            fitting.read(page)
        fitting.end()
        self.counts |= fitting.counts

    def audit(self) -> Audit:
        """Return what the check came to."""
        count = self.counts.get
        return Audit(
            tuple(self.findings),
            verified=count("verified", 0),
            erased=count("erased", 0),
            chained=count("chained", 0),
            unsealed=count("unsealed", 0),
            archived=count("archived", 0),
            epochs=count("epochs", 0),
            imported=count("imported", 0),
            unproved=count("unproved", 0),
        )
