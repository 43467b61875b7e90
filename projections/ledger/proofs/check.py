"""Checking events of a run against a proof, without the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from eventstore.redis.ledger import Stored
from projections.ledger.findings import (
    CHANGED,
    ERASED,
    INSERTED,
    REMOVED,
    SIGNATURE,
    Audit,
    Finding,
    record_finding,
)
from projections.ledger.imports import written_in
from projections.ledger.merkle import root, root_of_path, split
from projections.ledger.proofs.proof import Inclusion, Proof
from projections.ledger.records import EpochRecord, commitment, decode_record, leaf
from projections.ledger.redactions import ErasedHashes, Erasures, amiss
from projections.ledger.signing import signed


def check_proof(
    run: str,
    partition: int,
    events: Sequence[Stored],
    proof: Proof,
    keys: Mapping[str, bytes],
    blob: Callable[[str], bytes | None],
) -> Audit:
    """Check events of a run, from the first on, against a proof; `keys` are the public keys that are trusted.

    `blob` gives a payload that is stored beside the events, by its SHA-256.
    """
    records, findings = signed_records(proof, keys, partition)
    trees = _signed_trees(proof, records)
    check = _ProofCheck(
        run=run,
        partition=partition,
        proof=proof,
        blob=blob,
        records=records,
        trees=trees,
        findings=findings,
    )
    for event in events:
        check.event(event)
    check.erased_payloads(Erasures.of(events))
    check.order(events)
    return check.audit()


@dataclass(slots=True)
class _ProofCheck:
    run: str
    partition: int
    proof: Proof
    blob: Callable[[str], bytes | None]
    records: Mapping[int, EpochRecord]
    trees: Mapping[int, Sequence[bytes]]
    findings: list[Finding]
    signed_erasures: Erasures = field(default_factory=Erasures)
    erased: list[tuple[Stored, Inclusion]] = field(default_factory=list)
    verified: int = 0
    unsealed: int = 0
    imported: int = 0
    unproved: int = 0

    def note(self, kind: str, message: str, version: int) -> None:
        inclusion = self.proof.events.get(version)
        position = inclusion.n if inclusion else 0
        self.findings.append(
            Finding(
                partition=self.partition,
                n=position,
                kind=kind,
                run=self.run,
                version=version,
                what=message,
            )
        )

    def event(self, event: Stored) -> None:
        """Check one event against its record; what is erased of it is judged when all events are read."""
        inclusion = self.proof.events.get(event.version)
        if inclusion is None:
            self.unsealed += 1
            return
        record = self.records.get(inclusion.record)
        if record is None:  # its record is a finding by itself
            return
        if not self._is_as_sealed(event, inclusion, record):
            self.note(CHANGED, f"{event.type} is not what was sealed", event.version)
            return
        self.verified += 1
        self.signed_erasures.read(event)
        self.imported += bool(written_in(event))
        for kind, message in amiss(event, self.blob):
            self.note(kind, message, event.version)
        if not inclusion.salt:
            self.erased.append((event, inclusion))

    def _is_as_sealed(
        self, event: Stored, inclusion: Inclusion, record: EpochRecord
    ) -> bool:
        if event.n != inclusion.n:
            return False
        committed = (
            commitment(inclusion.salt, event) if inclusion.salt else inclusion.committed
        )
        event_leaf = leaf(self.partition, event, committed)
        leaves = self.trees.get(inclusion.record)
        if leaves is None:
            return leads_up(event_leaf, inclusion, record)
        offset = inclusion.n - record.first
        return 0 <= offset < len(leaves) and leaves[offset] == event_leaf

    def erased_payloads(self, erasures: Erasures) -> None:
        """An erased payload has to be named by a record of the run; whether that is signed is counted."""
        for event, inclusion in self.erased:
            erasure = (
                event.stream,
                event.version,
                ErasedHashes.of(event),
                inclusion.committed,
            )
            if not erasures.cover(*erasure):
                message = f"{event.type} is marked as erased, and no record of the run says that it was"
                self.note(ERASED, message, event.version)
            elif not self.signed_erasures.cover(*erasure):
                self.unproved += 1

    def order(self, events: Sequence[Stored]) -> None:
        """Versions have to be all there, and what is not sealed can only stand behind what is."""
        inclusions = self.proof.events
        versions = {event.version for event in events}
        newest = max(versions | inclusions.keys(), default=0)
        for version in range(1, newest + 1):
            if version not in versions:
                self.note(REMOVED, "an event of the run is missing", version)
        last_sealed = max(inclusions, default=0)
        last_position = max((entry.n for entry in inclusions.values()), default=0)
        for event in events:
            is_behind = event.version >= last_sealed and event.n > last_position
            if event.version not in inclusions and not is_behind:
                message = f"{event.type} was never sealed here"
                self.note(INSERTED, message, event.version)

    def audit(self) -> Audit:
        return Audit(
            tuple(sorted(self.findings)),
            verified=self.verified,
            erased=len(self.erased),
            unsealed=self.unsealed,
            epochs=len(self.records),
            imported=self.imported,
            unproved=self.unproved,
        )


def signed_records(
    proof: Proof, keys: Mapping[str, bytes], partition: int
) -> tuple[dict[int, EpochRecord], list[Finding]]:
    """Return the records of a proof that trusted keys have signed, by index, and what is wrong with the others."""
    records = {}
    findings = []
    for index, (raw, signature) in enumerate(proof.records):
        record = decode_record(raw)
        if record is None or record.partition != partition:
            message = "a record in the proof is none of this partition"
        elif record.key not in keys:
            message = f"epoch {record.epoch} is signed by key {record.key}, which is not one of those that are trusted"
        elif not signed(keys[record.key], raw, signature):
            message = f"the record of epoch {record.epoch} is not as key {record.key} signed it"
        else:
            records[index] = record
            continue
        findings.append(record_finding(partition, SIGNATURE, message))
    return records, findings


def _signed_trees(
    proof: Proof, records: Mapping[int, EpochRecord]
) -> dict[int, list[bytes]]:
    """Return the leaves of epochs that the proof has whole, if they are those that were signed."""
    trees = {}
    for index, joined in proof.leaves.items():
        leaves = split(joined)
        is_whole = index in records and root(leaves).hex() == records[index].root
        if is_whole:
            trees[index] = leaves
    return trees


def leads_up(event_leaf: bytes, inclusion: Inclusion, record: EpochRecord) -> bool:
    """Tell whether the path of an event leads from its leaf to the root that was signed."""
    offset = inclusion.n - record.first
    reached = root_of_path(event_leaf, offset, record.size, inclusion.path)
    return reached is not None and reached.hex() == record.root
