"""Receipts: the proof of one event, with the event, for somebody who has nothing of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from eventstore.redis.ledger import LedgerStore, Stored
from projections.errors import EvidenceUnreadable, NotSealed
from projections.ledger.findings import CHANGED, Audit, Finding
from projections.ledger.imports import written_in
from projections.ledger.proofs.check import leads_up, signed_records
from projections.ledger.proofs.encoding import (
    proof_data,
    read_proof,
    read_stored,
    stored_data,
)
from projections.ledger.proofs.prove import prove
from projections.ledger.records import commitment, leaf

RECEIPT_FORMAT: Final = "openagents-receipt/1"


def receipt(
    store: LedgerStore, run: str, event: Stored, *, with_payload: bool = True
) -> bytes:
    """Return a receipt: the event, and what a third party needs to see that it was sealed so, as JSON.

    Without the payload, or once that is erased, it proves the rest, and that there is or was a payload. It says so
    of an event that was written in another store. Raises NotSealed.
    """
    proof = prove(store, run, [event], paths_only=True)
    inclusion = proof.events.get(event.version)
    if inclusion is None:
        raise NotSealed(run, event.version)
    event_data = stored_data(event)
    encoded_proof = proof_data(proof)
    # What stands in the place of an erased payload is no proof of it, so it is not shown.
    if not with_payload or not inclusion.salt:
        event_data |= {"data": None, "metadata": None}
        hidden = {"salt": "", "commitment": inclusion.committed.hex()}
        encoded_proof["events"][str(event.version)] |= hidden
    document = {
        "format": RECEIPT_FORMAT,
        "partition": store.partition_of(run),
        "event": event_data,
        "proof": encoded_proof,
    }
    if written_in(event):
        document["imported"] = written_in(event)
    return json.dumps(document, ensure_ascii=True, sort_keys=True, indent=1).encode()


def check_receipt(data: Any, keys: Mapping[str, bytes] | None, where: str) -> Audit:
    """Check a receipt; without `keys`, against those that it names itself.

    Raises EvidenceUnreadable.
    """
    try:
        event_data = dict(data["event"])
        partition = data["partition"]
        bare = _is_bare(event_data)
        if bare:
            event_data |= {"data": "", "metadata": ""}
        event = read_stored(event_data)
        proof = read_proof(data["proof"], where)
        inclusion = proof.events[event.version]
    except (KeyError, TypeError, ValueError) as error:
        message = f"it is no receipt ({type(error).__name__}: {error})"
        raise EvidenceUnreadable(where, message) from error
    trusted = proof.keys if keys is None else keys
    records, findings = signed_records(proof, trusted, partition)
    record = records.get(inclusion.record)
    if record is not None:
        committed = inclusion.committed if bare else commitment(inclusion.salt, event)
        event_leaf = leaf(partition, event, committed)
        is_sealed = event.n == inclusion.n and leads_up(event_leaf, inclusion, record)
        if not is_sealed:
            findings.append(_changed(partition, inclusion.n, event))
    is_proved = record is not None and not findings
    is_imported = bool(written_in(event) or data.get("imported"))
    return Audit(
        tuple(findings),
        verified=int(is_proved),
        erased=int(is_proved and bare),
        epochs=len(records),
        named=keys is None,
        imported=int(is_proved and is_imported),
    )


def _changed(partition: int, n: int, event: Stored) -> Finding:
    return Finding(
        partition=partition,
        n=n,
        kind=CHANGED,
        run=event.stream,
        version=event.version,
        what=f"{event.type} is not what was sealed",
    )


def _is_bare(event_data: Mapping[str, Any]) -> bool:
    """Tell whether a receipt is without the payload of its event."""
    has_payload = event_data.get("data", "") is not None
    return not has_payload and event_data.get("metadata") is None
