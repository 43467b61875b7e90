"""Making a proof from the ledger of a store."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Final

from eventstore.redis.ledger import SALT_BYTES, Epoch, LedgerStore, Stored
from projections.ledger.evidence import named_keys
from projections.ledger.merkle import paths, split
from projections.ledger.proofs.proof import Inclusion, Proof
from projections.ledger.records import EpochRecord, commitment, decode_record

PATH_HASHES: Final = 10
"""How many hashes a path has in a full epoch."""


def prove(
    store: LedgerStore, run: str, events: Sequence[Stored], *, paths_only: bool = False
) -> Proof:
    """Prove what can be proved of events of a run: those of closed epochs."""
    partition = store.partition_of(run)
    epochs = _readable_epochs(store.epochs(partition))
    erased = store.erased(partition)
    by_position = sorted(events, key=lambda event: event.n)
    records: list[tuple[bytes, bytes]] = []
    inclusions: dict[int, Inclusion] = {}
    whole_epochs: dict[int, bytes] = {}
    for record, epoch in epochs:
        sealed_events = _events_of_epoch(by_position, record)
        if not sealed_events:
            continue
        joined = store.leaves(partition, epoch.number)
        index = len(records)
        # All leaves of an epoch take less room than paths of many events.
        is_shorter_whole = (
            not paths_only and len(sealed_events) * PATH_HASHES >= record.size
        )
        if is_shorter_whole:
            whole_epochs[index], leaves = joined, []
        else:
            leaves = split(joined)
        salts = store.salts(partition, epoch.number)
        inclusions.update(
            _inclusions(record, index, sealed_events, leaves, salts, erased)
        )
        records.append((epoch.record, epoch.signature))
    key_names = {record.key for record, _ in epochs}
    public_keys = named_keys(store)
    keys = {name: key for name, key in public_keys.items() if name in key_names}
    return Proof(
        records=tuple(records), keys=keys, events=inclusions, leaves=whole_epochs
    )


def _readable_epochs(epochs: Sequence[Epoch]) -> list[tuple[EpochRecord, Epoch]]:
    decoded = [(decode_record(epoch.record), epoch) for epoch in epochs]
    return [(record, epoch) for record, epoch in decoded if record is not None]


def _events_of_epoch(
    by_position: Sequence[Stored], record: EpochRecord
) -> Sequence[Stored]:
    first = bisect.bisect_left(by_position, record.first, key=_position)
    end = bisect.bisect_left(by_position, record.last + 1, key=_position)
    return by_position[first:end]


def _position(event: Stored) -> int:
    return event.n


def _inclusions(
    record: EpochRecord,
    record_index: int,
    events: Sequence[Stored],
    leaves: Sequence[bytes],
    salts: bytes,
    erased: Mapping[int, bytes],
) -> dict[int, Inclusion]:
    offsets = [event.n - record.first for event in events]
    inclusions = {}
    for event, offset, path in zip(
        events, offsets, paths(leaves, offsets), strict=True
    ):
        salt = salts[offset * SALT_BYTES : (offset + 1) * SALT_BYTES]
        if event.n in erased or not any(salt):
            salt = b""
            committed = erased.get(event.n, b"")
        else:
            committed = commitment(salt, event)
        inclusions[event.version] = Inclusion(
            n=event.n,
            record=record_index,
            path=tuple(path),
            salt=salt,
            committed=committed,
        )
    return inclusions
