"""The audit of a store: sealing its log, checking it, and proving to others what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from eventstore import codec
from eventstore.redis.ledger import Stored
from eventstore.zip_reader import MOST_BYTES
from executor.errors import NoSuchVersion, RunNotFound
from executor.integrity.derived_state import DerivedStateCheck
from openagents_json.engine.answers.seals import RunSeal
from openagents_json.engine.archive.capsule_file import is_capsule, unpack
from openagents_json.engine.errors import NoLedger
from openagents_json.engine.wiring.client import Core
from openagents_json.engine.wiring.ledger import build_sealer
from projections.errors import EvidenceUnreadable, KeyUnusable
from projections.ledger.evidence import named_keys, read_partitions, whole
from projections.ledger.export import open_export, write_export
from projections.ledger.findings import Audit, Finding, record_finding, together
from projections.ledger.proofs.check import check_proof
from projections.ledger.proofs.encoding import proof_data, read_proof
from projections.ledger.proofs.proof import Proof
from projections.ledger.proofs.prove import prove
from projections.ledger.proofs.receipts import RECEIPT_FORMAT, check_receipt, receipt
from projections.ledger.records import decode_record, digest
from projections.ledger.sealer import Sealed
from projections.ledger.signing import Signer, key_id, load_public, load_signer, signed
from projections.ledger.verify import check_partition, check_whole, missed

Keys = Mapping[str, bytes]
"""Public keys that somebody trusts, by name."""


def read_signer(path: str | Path) -> Signer:
    """Read the private key of a ledger from its file.

    Raises KeyUnusable.
    """
    try:
        return load_signer(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise KeyUnusable(str(path), str(error.strerror)) from error


def read_keys(paths: Sequence[str | Path]) -> Keys | None:
    """Read public keys from their files; None when there are none.

    Raises KeyUnusable.
    """
    keys = {}
    for path in paths:
        try:
            public = load_public(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise KeyUnusable(str(path), str(error.strerror)) from error
        keys[key_id(public)] = public
    return keys or None


@dataclass(frozen=True, slots=True)
class WitnessRecord:
    """A signed record that somebody outside has seen: the ledger has to have it for ever."""

    record: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class LedgerStatus:
    """How the ledger stands: `waiting` events are not sealed yet, `open` are sealed and not signed yet."""

    ledger: str
    keys: tuple[str, ...]
    epochs: int
    sealed: int
    open: int
    waiting: int


class AuditService:
    """What can be done with the ledger of a store."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._store = core.ledger

    def seal(self, signer: Signer | None = None) -> Sealed:
        """Seal and sign all that is in the log by now, with the engine's own key unless another is given.

        Raises KeyUnusable.
        """
        chosen = signer or self._core.signer
        if chosen is None:
            raise KeyUnusable(
                "of the ledger",
                "none is given; name its file, or set OPENAGENTS_AUDIT_KEY",
            )
        return build_sealer(self._core, chosen).seal()

    def status(self) -> LedgerStatus:
        """Tell how the ledger stands.

        Raises NoLedger.
        """
        partitions = self._store.places(range(self._store.partitions))
        identity = self._whole()
        sealed = sum(partition.checkpoint for partition in partitions)
        signed_to = sum(partition.first - 1 for partition in partitions)
        waiting = sum(partition.head - partition.checkpoint for partition in partitions)
        epochs = sum(partition.epoch - 1 for partition in partitions)
        return LedgerStatus(
            identity.ledger,
            tuple(sorted(identity.keys)),
            epochs,
            sealed,
            sealed - signed_to,
            waiting,
        )

    def _whole(self) -> Any:
        identity = whole(self._store)
        if not identity.ledger:
            raise NoLedger
        return identity

    def verify(
        self, keys: Keys | None = None, witness: Sequence[WitnessRecord] = ()
    ) -> Audit:
        """Check the whole store against its ledger; without keys, against those that the ledger names itself.

        What decides beside the log what runs do is checked against it: definitions and heads. Raises NoLedger.
        """
        identity = self._whole()
        trusted = identity.keys if keys is None else keys
        audits = []
        epochs = {}
        odd = list[Finding]()
        for partition in read_partitions(self._store):
            standings = DerivedStateCheck(self._core.store)
            observed = replace(partition, events=standings.over(partition.events))
            audits.append(check_partition(observed, identity.ledger, trusted))
            epochs[partition.partition] = partition.epochs
            odd += _faults(partition.partition, standings, audits[-1])
        beside = [
            *odd,
            *check_whole(identity, trusted, epochs),
            *_witnessed(witness, trusted, epochs),
        ]
        return together(audits, beside, named=keys is None)

    def verify_run(self, run: str, keys: Keys | None = None) -> Audit:
        """Check one run; what was removed from its end is found by checking the whole store only.

        Raises NoLedger and RunNotFound.
        """
        identity = self._whole()
        events = self.stored(run)
        trusted = identity.keys if keys is None else keys
        partition = self._store.partition_of(run)
        proof = prove(self._store, run, events)
        standings = DerivedStateCheck(self._core.store)
        seen = list(standings.over(events))
        audit = check_proof(
            run,
            partition,
            seen,
            proof,
            trusted,
            lambda sha: self._store.blob(partition, sha),
        )
        return together(
            [audit], _faults(partition, standings, audit), named=keys is None
        )

    def seal_of(self, run: str) -> RunSeal:
        """Tell how many events of a run are sealed and signed; whether they are as they were, `verify_run` tells.

        Raises NoLedger and RunNotFound.
        """
        self._whole()
        [ledger] = self._store.places([self._store.partition_of(run)])
        # Events stand in the log of their partition in the order of the run.
        positions = [event.n for event in self.stored(run)]
        signed = sum(position < ledger.first for position in positions)
        sealed = sum(position <= ledger.checkpoint for position in positions)
        return RunSeal(len(positions), signed, sealed)

    def proof(self, run: str) -> Proof | None:
        """Prove what can be proved of a run; None when the store has no ledger, or none of the run is signed.

        Raises RunNotFound.
        """
        events = self.stored(run)
        if not whole(self._store).ledger:
            return None
        proof = prove(self._store, run, events)
        return proof if proof.events else None

    def proof_bytes(self, run: str) -> bytes | None:
        """Return that proof as it goes into a capsule.

        Raises RunNotFound.
        """
        proof = self.proof(run)
        if proof is None:
            return None
        return json.dumps(proof_data(proof), sort_keys=True).encode()

    def receipt(self, run: str, version: int, *, with_payload: bool = True) -> bytes:
        """Return a proof that an event was sealed as it is, to be checked with nothing but the public key.

        Raises NoLedger, RunNotFound, NoSuchVersion and NotSealed.
        """
        self._whole()
        events = self.stored(run)
        if not 1 <= version <= len(events):
            raise NoSuchVersion(run, version, len(events))
        return receipt(self._store, run, events[version - 1], with_payload=with_payload)

    def export(self, file: IO[bytes]) -> None:
        """Write the ledger and the log as one file that can be checked without the store.

        Raises NoLedger.
        """
        self._whole()
        write_export(self._store, file)

    def witness(self) -> list[dict[str, Any]]:
        """Return the newest signed record of each partition, for somebody outside to keep.

        Raises NoLedger.
        """
        self._whole()
        newest = [
            epochs[-1]
            for p in range(self._store.partitions)
            if (epochs := self._store.epochs(p))
        ]
        return [
            {"record": epoch.record.decode(), "signature": epoch.signature.hex()}
            for epoch in newest
        ]

    def keys(self) -> Keys:
        """Return the public keys that the ledger names."""
        return named_keys(self._store)

    def stored(self, run: str) -> list[Stored]:
        """Return the events of a run as they are stored.

        Raises RunNotFound.
        """
        events = list(self._store.each_event([run]))
        if not events:
            raise RunNotFound(run)
        return events


def _faults(
    partition: int, standings: DerivedStateCheck, audit: Audit
) -> list[Finding]:
    """Return what heads and definitions say otherwise than events; a head says nothing new of doubtful events."""
    doubtful = {finding.run for finding in audit.findings}
    faults = [
        fault
        for fault in standings.faults()
        if fault.kind != "head" or fault.run not in doubtful
    ]
    return [
        Finding(partition, 0, fault.kind, fault.run, 0, fault.what) for fault in faults
    ]


def _witnessed(
    witness: Sequence[WitnessRecord], keys: Keys, epochs: Mapping[int, Sequence[Any]]
) -> list[Finding]:
    """Check that what somebody outside has seen is still there."""
    findings: list[Finding] = []
    for seen in witness:
        record = decode_record(seen.record)
        key = None if record is None else keys.get(record.key)
        if (
            record is None
            or key is None
            or not signed(key, seen.record, seen.signature)
        ):
            message = "the witness is not signed by a key that is trusted"
            findings.append(record_finding(0, "signature", message))
            continue
        here = epochs.get(record.partition, ())
        findings += missed(record.partition, record.epoch, digest(seen.record), here)
    return findings


def read_witness(path: str | Path) -> list[WitnessRecord]:
    """Read what `openagents audit witness` printed.

    Raises EvidenceUnreadable.
    """
    try:
        lines = [
            json.loads(line)
            for line in Path(path).read_text().splitlines()
            if line.strip()
        ]
        return [
            WitnessRecord(item["record"].encode(), bytes.fromhex(item["signature"]))
            for item in lines
        ]
    except OSError as error:
        raise EvidenceUnreadable(str(path), str(error.strerror)) from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise EvidenceUnreadable(str(path), f"it is no witness ({error})") from error


def verify_file(
    path: str | Path,
    keys: Keys | None = None,
    witness: Sequence[WitnessRecord] = (),
    *,
    limit: int = MOST_BYTES,
) -> Audit:
    """Check an export, a receipt or a capsule, without any store; no more than `limit` bytes are held of it unpacked.

    Raises EvidenceUnreadable and CapsuleUnreadable.
    """
    file_path = Path(path)
    try:
        with file_path.open("rb") as file:
            begin = file.read(2)
    except OSError as error:
        raise EvidenceUnreadable(str(path), str(error.strerror)) from error
    if begin == b"PK" and not is_capsule(file_path):
        return _verify_export(file_path, keys, witness, limit)
    if witness:
        raise EvidenceUnreadable(
            str(path),
            "a witness tells of whole stores and exports, and this is neither",
        )
    if begin == b"PK":
        return _verify_capsule(file_path, keys, limit)
    try:
        data = codec.decode_foreign(file_path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise EvidenceUnreadable(
            str(path), f"it is neither a receipt nor an export ({error})"
        ) from error
    if not isinstance(data, dict) or data.get("format") != RECEIPT_FORMAT:
        raise EvidenceUnreadable(
            str(path), f"it is no receipt of the format {RECEIPT_FORMAT}"
        )
    return check_receipt(data, keys, str(path))


def _verify_capsule(path: Path, keys: Keys | None, limit: int) -> Audit:
    capsule = unpack(path, limit=limit)
    if capsule.proofs is None:
        raise EvidenceUnreadable(
            str(path),
            "the run was not sealed when the capsule was made, so there is no proof in it",
        )
    try:
        proof = read_proof(codec.decode_foreign(capsule.proofs), str(path))
        partition = int(str(capsule.manifest["partition"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise EvidenceUnreadable(
            str(path), f"its proofs cannot be read ({error})"
        ) from error
    events = [event.stored(capsule.run) for event in capsule.events]
    trusted = proof.keys if keys is None else keys
    audit = check_proof(
        capsule.run, partition, events, proof, trusted, capsule.blobs.get
    )
    return together([audit], [], named=keys is None, file=True)


def _verify_export(
    path: Path, keys: Keys | None, witness: Sequence[WitnessRecord], limit: int
) -> Audit:
    with open_export(path, limit) as export:
        identity = export.whole
        trusted = identity.keys if keys is None else keys
        audits = []
        epochs = {}
        for partition in range(identity.partitions):
            content = export.partition(partition)
            audits.append(check_partition(content, identity.ledger, trusted))
            epochs[partition] = content.epochs
    beside = [
        *check_whole(identity, trusted, epochs),
        *_witnessed(witness, trusted, epochs),
    ]
    return together(audits, beside, named=keys is None, file=True)
