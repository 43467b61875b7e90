"""Proofs of inclusion: that events were sealed as they are, shown with nothing but a public key.

A proof of several events holds each signed record once; a receipt is the proof of one event, with the event.
"""

from __future__ import annotations

import base64
import bisect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.redis.ledger import SALT_BYTES, Epoch, LedgerStore, Stored
from projections.errors import EvidenceUnreadable, NotSealed
from projections.ledger.evidence import named_keys
from projections.ledger.findings import (
    CHANGED,
    ERASED,
    INSERTED,
    REMOVED,
    SIGNATURE,
    Audit,
    Finding,
)
from projections.ledger.imports import written_in
from projections.ledger.merkle import paths, root, root_of_path, split
from projections.ledger.records import EpochRecord, commitment, decode_record, leaf
from projections.ledger.redactions import ErasedHashes, Erasures, amiss
from projections.ledger.signing import signed

PROOF_FORMAT: Final = "openagents-proof/1"
RECEIPT_FORMAT: Final = "openagents-receipt/1"
PATH_HASHES: Final = 10
"""How many hashes a path has in a full epoch."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where an event stands in the ledger: `salt` opens the commitment to its payload, empty once that is erased.

    `path` leads up to the root of its epoch; it is empty where the proof has all leaves of the epoch.
    """

    n: int
    record: int
    path: tuple[bytes, ...]
    salt: bytes
    committed: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """Signed records, the public keys that the ledger names for them, and where events stand, by version of the run.

    `leaves` are all those of an epoch, by place of its record, where that is shorter than a path for each event.
    """

    records: tuple[tuple[bytes, bytes], ...]
    keys: Mapping[str, bytes]
    events: Mapping[int, Inclusion]
    leaves: Mapping[int, bytes] = field(default_factory=dict)


def prove(
    store: LedgerStore, run: str, events: Sequence[Stored], *, paths_only: bool = False
) -> Proof:
    """Prove what can be proved of events of a run: those of closed epochs."""
    partition = store.partition_of(run)
    epochs = store.epochs(partition)
    spans = [
        (record, epoch)
        for epoch in epochs
        if (record := decode_record(epoch.record)) is not None
    ]
    erased, rising = store.erased(partition), sorted(events, key=lambda event: event.n)
    records: list[tuple[bytes, bytes]] = []
    included: dict[int, Inclusion] = {}
    whole: dict[int, bytes] = {}
    for record, epoch in spans:
        first, end = (
            bisect.bisect_left(rising, n, key=lambda x: x.n)
            for n in (record.first, record.last + 1)
        )
        wanted = rising[first:end]
        if wanted:
            joined = store.leaves(partition, epoch.number)
            if not paths_only and len(wanted) * PATH_HASHES >= record.size:
                whole[len(records)], leaves = joined, []
            else:
                leaves = split(joined)
            included.update(
                _included(store, record, epoch, wanted, erased, len(records), leaves)
            )
            records.append((epoch.record, epoch.signature))
    names = {record.key for record, _ in spans}
    keys = {name: key for name, key in named_keys(store).items() if name in names}
    return Proof(tuple(records), keys, included, whole)


def _included(
    store: LedgerStore,
    record: EpochRecord,
    epoch: Epoch,
    wanted: Sequence[Stored],
    erased: Mapping[int, bytes],
    place: int,
    leaves: Sequence[bytes],
) -> dict[int, Inclusion]:
    salts, found = store.salts(record.partition, epoch.number), {}
    for event, path in zip(
        wanted, paths(leaves, [event.n - record.first for event in wanted]), strict=True
    ):
        at = (event.n - record.first) * SALT_BYTES
        salt = salts[at : at + SALT_BYTES]
        gone = event.n in erased or not any(salt)
        committed = erased.get(event.n, b"") if gone else commitment(salt, event)
        found[event.version] = Inclusion(
            event.n, place, tuple(path), b"" if gone else salt, committed
        )
    return found


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
    findings: list[Finding] = []
    records = _records(proof, keys, partition, findings)
    trees = _trees(proof, records)
    erasures, signed_erasures = Erasures.of(events), Erasures()
    counts = dict.fromkeys(
        ("verified", "erased", "unsealed", "imported", "unproved"), 0
    )
    marked: list[tuple[Stored, Inclusion]] = []

    def note(kind: str, what: str, version: int) -> None:
        place = proof.events.get(version)
        findings.append(
            Finding(partition, place.n if place else 0, kind, run, version, what)
        )

    for event in events:
        place = proof.events.get(event.version)
        if place is None:
            counts["unsealed"] += 1
            continue
        record = records.get(place.record)
        if record is None:
            continue
        committed = commitment(place.salt, event) if place.salt else place.committed
        if event.n != place.n or not _leads_up(
            leaf(partition, event, committed), place, record, trees
        ):
            note(CHANGED, f"{event.type} is not what was sealed", event.version)
            continue
        counts["verified"] += 1
        signed_erasures.read(event)
        counts["imported"] += bool(written_in(event))
        for kind, what in amiss(event, blob):
            note(kind, what, event.version)
        if not place.salt:
            marked.append((event, place))
    for event, place in marked:
        named = event.stream, event.version, ErasedHashes.of(event), place.committed
        if not erasures.cover(*named):
            what = f"{event.type} is marked as erased, and no record of the run says that it was"
            note(ERASED, what, event.version)
        counts["unproved"] += erasures.cover(*named) and not signed_erasures.cover(
            *named
        )
    counts["erased"] = len(marked)
    _order(events, proof, note)
    return _counted(findings, counts, len(records))


def _counted(
    findings: Sequence[Finding], counts: Mapping[str, int], epochs: int
) -> Audit:
    return Audit(
        tuple(sorted(findings)),
        verified=counts["verified"],
        erased=counts["erased"],
        unsealed=counts["unsealed"],
        epochs=epochs,
        imported=counts["imported"],
        unproved=counts["unproved"],
    )


def _records(
    proof: Proof, keys: Mapping[str, bytes], partition: int, findings: list[Finding]
) -> dict[int, EpochRecord]:
    found = {}
    for place, (raw, signature) in enumerate(proof.records):
        record = decode_record(raw)
        if record is None or record.partition != partition:
            findings.append(
                Finding(
                    partition,
                    0,
                    SIGNATURE,
                    "",
                    0,
                    "a record in the proof is none of this partition",
                )
            )
        elif record.key not in keys:
            what = f"epoch {record.epoch} is signed by key {record.key}, which is not one of those that are trusted"
            findings.append(Finding(partition, 0, SIGNATURE, "", 0, what))
        elif not signed(keys[record.key], raw, signature):
            what = f"the record of epoch {record.epoch} is not as key {record.key} signed it"
            findings.append(Finding(partition, 0, SIGNATURE, "", 0, what))
        else:
            found[place] = record
    return found


def _trees(proof: Proof, records: Mapping[int, EpochRecord]) -> dict[int, list[bytes]]:
    """Return the leaves of epochs that the proof has whole, if they are those that were signed."""
    found = {
        place: split(joined)
        for place, joined in proof.leaves.items()
        if place in records
    }
    return {
        place: leaves
        for place, leaves in found.items()
        if root(leaves).hex() == records[place].root
    }


def _leads_up(
    found: bytes,
    place: Inclusion,
    record: EpochRecord,
    trees: Mapping[int, Sequence[bytes]] | None = None,
) -> bool:
    if trees and place.record in trees:
        leaves, at = trees[place.record], place.n - record.first
        return 0 <= at < len(leaves) and leaves[at] == found
    reached = root_of_path(found, place.n - record.first, record.size, place.path)
    return reached is not None and reached.hex() == record.root


def _order(events: Sequence[Stored], proof: Proof, note: Any) -> None:
    """Versions have to be all there, and what is not sealed can only stand behind what is."""
    versions = [event.version for event in events]
    for version in sorted(
        set(range(1, max([*versions, *proof.events], default=0) + 1)) - set(versions)
    ):
        note(REMOVED, "an event of the run is missing", version)
    last = max((place.n for place in proof.events.values()), default=0)
    newest = max(proof.events, default=0)
    for event in events:
        if event.version not in proof.events and (
            event.version < newest or event.n <= last
        ):
            note(INSERTED, f"{event.type} was never sealed here", event.version)


# -- as JSON ---------------------------------------------------------------------------------------------


def proof_data(proof: Proof) -> dict[str, Any]:
    """Return a proof as JSON."""
    return {
        "format": PROOF_FORMAT,
        "records": [
            [raw.decode("utf-8", "surrogatepass"), signature.hex()]
            for raw, signature in proof.records
        ],
        "keys": {name: key.hex() for name, key in proof.keys.items()},
        "leaves": {str(place): joined.hex() for place, joined in proof.leaves.items()},
        "events": {
            str(version): {
                "position": x.n,
                "record": x.record,
                "path": [step.hex() for step in x.path],
                "salt": x.salt.hex(),
                "commitment": "" if x.salt else x.committed.hex(),
            }
            for version, x in proof.events.items()
        },
    }


def read_proof(data: Any, where: str) -> Proof:
    """Read a proof back.

    Raises EvidenceUnreadable.
    """
    try:
        if data["format"] != PROOF_FORMAT:
            raise ValueError(f"its format is {data['format']!r}, not {PROOF_FORMAT!r}")
        return Proof(
            tuple(
                (str(raw).encode("utf-8", "surrogatepass"), bytes.fromhex(sign))
                for raw, sign in data["records"]
            ),
            {str(name): bytes.fromhex(key) for name, key in data["keys"].items()},
            {int(version): _inclusion(x) for version, x in data["events"].items()},
            {
                int(place): bytes.fromhex(joined)
                for place, joined in data.get("leaves", {}).items()
            },
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise EvidenceUnreadable(
            where, f"the proof in it is damaged ({type(error).__name__}: {error})"
        ) from error


def _inclusion(data: Any) -> Inclusion:
    n, record = data["position"], data["record"]
    if type(n) is not int or type(record) is not int:
        raise TypeError("position and record must be whole numbers")
    hashes = tuple(bytes.fromhex(step) for step in data["path"])
    return Inclusion(
        n,
        record,
        hashes,
        bytes.fromhex(data["salt"]),
        bytes.fromhex(data["commitment"]),
    )


def stored_data(event: Stored) -> dict[str, Any]:
    """Return an event as it is stored as JSON; data and metadata are texts where they can be."""
    return {
        "stream": event.stream,
        "version": event.version,
        "position": event.n,
        "time_ms": event.time_ms,
        "commit": event.commit,
        "actor": event.actor,
        "cause": event.cause,
        "type": event.type,
        **_as_text("data", event.data),
        **_as_text("metadata", event.metadata),
    }


def _as_text(name: str, raw: bytes) -> dict[str, str]:
    """Return bytes as a text; what is none, because somebody changed it, in base64."""
    try:
        return {name: raw.decode("utf-8", "surrogatepass")}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(raw).decode()}


def _as_bytes(data: Any, name: str) -> bytes:
    if name in data and f"{name}_base64" in data:
        raise ValueError(
            f"{name} is there twice, as a text and in base64"
        )  # one is proved, and the other is shown
    if f"{name}_base64" in data:
        return base64.b64decode(data[f"{name}_base64"], validate=True)
    if type(data[name]) is not str:
        raise TypeError(f"{name} must be a text")
    return bytes(data[name].encode("utf-8", "surrogatepass"))


_TEXTS: Final = ("stream", "commit", "actor", "cause", "type")


def read_stored(data: Any) -> Stored:
    """Read an event back.

    Raises KeyError, TypeError and ValueError.
    """
    version, n, time_ms = numbers = [
        data[name] for name in ("version", "position", "time_ms")
    ]
    stream, commit, actor, cause, kind = texts = [data[name] for name in _TEXTS]
    if any(type(x) is not int for x in numbers) or any(
        type(x) is not str for x in texts
    ):
        raise TypeError("an event has numbers and texts only")
    raw, metadata = _as_bytes(data, "data"), _as_bytes(data, "metadata")
    return Stored(
        stream, version, n, time_ms, commit, actor, cause, kind, raw, metadata
    )


def receipt(
    store: LedgerStore, run: str, event: Stored, *, with_payload: bool = True
) -> bytes:
    """Return a receipt: the event, and what a third party needs to see that it was sealed so, as JSON.

    Without the payload, or once that is erased, it proves the rest, and that there is or was a payload. It says so
    of an event that was written in another store. Raises NotSealed.
    """
    proof = prove(store, run, [event], paths_only=True)
    if event.version not in proof.events:
        raise NotSealed(run, event.version)
    shown, proved = stored_data(event), proof_data(proof)
    if (
        not with_payload or not proof.events[event.version].salt
    ):  # what stands in the place of an erased one is no proof
        shown |= {"data": None, "metadata": None}
        hidden = proof.events[event.version].committed.hex()
        proved["events"][str(event.version)] |= {"salt": "", "commitment": hidden}
    said = {
        "format": RECEIPT_FORMAT,
        "partition": store.partition_of(run),
        "event": shown,
        "proof": proved,
    }
    if written_in(event):
        said["imported"] = written_in(event)
    return json.dumps(said, ensure_ascii=True, sort_keys=True, indent=1).encode()


def check_receipt(data: Any, keys: Mapping[str, bytes] | None, where: str) -> Audit:
    """Check a receipt; without `keys`, against those that it names itself.

    Raises EvidenceUnreadable.
    """
    try:
        shown, partition = dict(data["event"]), data["partition"]
        bare = (
            "data" in shown and shown["data"] is None and shown.get("metadata") is None
        )
        event = read_stored({**shown, "data": "", "metadata": ""} if bare else shown)
        proof = read_proof(data["proof"], where)
        place = proof.events[event.version]
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceUnreadable(
            where, f"it is no receipt ({type(error).__name__}: {error})"
        ) from error
    findings: list[Finding] = []
    records = _records(proof, proof.keys if keys is None else keys, partition, findings)
    record = records.get(place.record)
    committed = place.committed if bare else commitment(place.salt, event)
    if record is not None and (
        event.n != place.n
        or not _leads_up(leaf(partition, event, committed), place, record)
    ):
        what = f"{event.type} is not what was sealed"
        findings.append(
            Finding(partition, place.n, CHANGED, event.stream, event.version, what)
        )
    count = int(record is not None and not findings)
    imported = count * bool(written_in(event) or data.get("imported"))
    return Audit(
        tuple(findings),
        count,
        count * bare,
        epochs=len(records),
        named=keys is None,
        imported=imported,
    )
