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
from projections.ledger.findings import LEDGER, SIGNATURE, Audit, Finding
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


def check_partition(found: Partition, ledger: str, keys: Mapping[str, bytes]) -> Audit:
    """Check a partition; `keys` are the public keys that are trusted, by name."""
    work = _Work(found, ledger, keys)
    signed_to = work.records()
    work.events(signed_to)
    return work.audit()


def check_whole(
    said: LedgerRecords,
    keys: Mapping[str, bytes],
    epochs: Mapping[int, Sequence[Epoch]],
) -> list[Finding]:
    """Check what was signed last of all partitions: epochs that were taken from the end are missed."""
    if not said.statement:
        what = "epochs are signed, and the statement about all partitions, which is signed with them, is gone"
        return [Finding(0, 0, LEDGER, "", 0, what)] if any(epochs.values()) else []
    statement = decode_statement(said.statement)
    if statement is None or statement.ledger != said.ledger:
        return [
            Finding(
                0,
                0,
                LEDGER,
                "",
                0,
                "the statement about all partitions cannot be read, or is another ledger's",
            )
        ]
    if statement.key not in keys or not signed(
        keys[statement.key], said.statement, said.statement_signature
    ):
        return [
            Finding(
                0,
                0,
                SIGNATURE,
                "",
                0,
                f"the statement about all partitions is not signed by key {statement.key}",
            )
        ]
    return [
        found
        for partition, head in statement.heads.items()
        for found in missed(partition, *head, epochs.get(partition, ()))
    ]


def missed(
    partition: int, number: int, record: str, epochs: Sequence[Epoch]
) -> list[Finding]:
    """Tell whether an epoch that somebody knows of is there as it was."""
    known = {epoch.number: epoch for epoch in epochs}
    if number not in known:
        last = max(known, default=0)
        return [
            Finding(
                partition,
                0,
                LEDGER,
                "",
                0,
                f"epoch {number} is known to have been signed, and {last} is the last",
            )
        ]
    if digest(known[number].record) != record:
        return [
            Finding(
                partition,
                0,
                LEDGER,
                "",
                0,
                f"epoch {number} is another one than was signed before",
            )
        ]
    return []


@dataclass(slots=True)
class _Work:
    found: Partition
    ledger: str
    keys: Mapping[str, bytes]
    findings: list[Finding] = field(default_factory=list)
    leaves: Leaves = field(default_factory=Leaves)
    doubtful: list[Span] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def note(
        self, kind: str, what: str, n: int = 0, run: str = "", version: int = 0
    ) -> None:
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
            if (
                record is None
            ):  # nothing that it says is to be believed, also not how long it is
                leaves = self._leaves(number, last + 1, None)
                self.doubtful.append((last + 1, last + len(leaves)))
                last, chain = last + len(leaves), chained(chain, leaves)
            else:
                if record.first != last + 1 or record.previous != previous:
                    self.note(
                        LEDGER,
                        f"the record of epoch {number} does not follow the one before it",
                    )
                chain = self._tree(
                    record, self._leaves(number, record.first, record.size), chain
                )
                last, valid = record.last, valid + 1
            previous = "" if epoch is None else digest(epoch.record)
        self.counts["epochs"] = valid
        self._leaves(self.found.open_epoch, last + 1, self.found.checkpoint - last)
        return last

    def _numbers(self, known: Mapping[int, Epoch]) -> list[int]:
        """Return the closed epochs of which there is anything, and note those of which there is nothing."""
        there = sorted(
            {
                *known,
                *(
                    number
                    for number in self.found.leaves
                    if 0 < number < self.found.open_epoch
                ),
            }
        )
        for before, number in itertools.pairwise([0, *there, self.found.open_epoch]):
            if number > before + 1:
                self.note(
                    LEDGER, f"nothing is there of epochs {before + 1} to {number - 1}"
                )
        return there

    def _record(self, number: int, epoch: Epoch | None) -> EpochRecord | None:
        """Read a record; None when it is not the one of this epoch as it was signed."""
        where, record = (
            f"the record of epoch {number}",
            None if epoch is None else decode_record(epoch.record),
        )
        if epoch is None:
            self.note(LEDGER, f"{where} is missing")
        elif record is None:
            self.note(LEDGER, f"{where} cannot be read")
        elif record.key not in self.keys:
            self.note(
                SIGNATURE,
                f"{where} is signed by key {record.key}, which is not one of those that are trusted",
            )
        elif not signed(self.keys[record.key], epoch.record, epoch.signature):
            self.note(SIGNATURE, f"{where} is not as key {record.key} signed it")
        elif (record.ledger, record.partition, record.epoch) != (
            self.ledger,
            self.found.partition,
            number,
        ):
            other = f"epoch {record.epoch} of partition {record.partition} of ledger {record.ledger}"
            self.note(LEDGER, f"{where} is that of {other}")
        else:
            return record
        return None

    def _leaves(self, epoch: int, first: int, wanted: int | None) -> list[bytes]:
        """Return the leaves of an epoch; `wanted` is how many there have to be, where that is known."""
        raw, joined = (
            self.found.leaves.get(epoch, b""),
            self.found.salts.get(epoch, b""),
        )
        leaves = split(raw)
        size = len(leaves) if wanted is None else max(0, wanted)
        self.leaves.add(first, raw[: min(size, len(leaves)) * LEAF_BYTES], joined)
        if len(leaves) != size or len(joined) != size * SALT_BYTES:
            there = f"{len(leaves)} leaves and {len(joined) // SALT_BYTES} salts"
            self.note(LEDGER, f"epoch {epoch} has {size} positions, {there}")
        return leaves

    def _tree(
        self, record: EpochRecord, leaves: Sequence[bytes], chain: bytes
    ) -> bytes:
        """Check the leaves of an epoch against its record; gives the chain after it."""
        if root(leaves).hex() != record.root:
            self.note(
                LEDGER,
                f"the leaves of epoch {record.epoch} are not those that were signed",
            )
            self.doubtful.append(
                (record.first, record.first + len(leaves) - 1)
            )  # not to where it claims to end
        elif chained(chain, leaves).hex() != record.chain:
            self.note(
                LEDGER,
                f"the chain of epoch {record.epoch} does not follow from the one before it",
            )
        return bytes.fromhex(record.chain)

    def events(self, signed_to: int) -> None:
        """Check the events against the leaves, and name what does not fit."""
        fitting = Reconciliation(
            self.found, self.leaves, signed_to, self.doubtful, self.note
        )
        events = iter(self.found.events)
        while page := list(itertools.islice(events, PAGE)):
            fitting.read(page)
        fitting.end()
        self.counts |= fitting.counts

    def audit(self) -> Audit:
        """Return what was found."""
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
