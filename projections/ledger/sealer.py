"""Sealing: what has come into the log goes into the ledger, and full epochs are closed and signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, replace
from typing import Final

from eventstore.redis.ledger import (
    SALT_BYTES,
    Epoch,
    LedgerPosition,
    LedgerStore,
    Seal,
    Stored,
)
from projections.errors import KeyUnusable
from projections.ledger.merkle import root, split
from projections.ledger.records import (
    ABSENT,
    NO_SALT,
    EpochRecord,
    Statement,
    chained,
    commitment,
    decode_statement,
    digest,
    encode_record,
    encode_statement,
    leaf,
)
from projections.ledger.signing import Signer

EPOCH_SIZE: Final = 1024
"""Positions of an epoch at most; a proof of inclusion then has ten hashes."""

BATCH: Final = 512
PARTITIONS_AT_ONCE: Final = 8
TRIES: Final = 1000
"""After how many rounds that came no further a pass gives up: others were faster, or the log has lost its tail."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a pass came to: events that were sealed, epochs that were closed, and positions that are left."""

    events: int = 0
    epochs: int = 0
    left: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """What comes next in a partition: its events up to position `to`."""

    partition: int
    position: LedgerPosition
    to: int
    events: Sequence[Stored]


def _has_more(position: LedgerPosition, goal: int, close: bool) -> bool:
    """Tell whether a partition is to be sealed further, or its open epoch to be closed."""
    is_open = position.first <= position.checkpoint
    return position.checkpoint < goal or (close and is_open)


class Sealer:
    """Keeps the ledger. Any number may be at work: each step is refused when another was faster.

    `alone` gives the ledger to one of them at a time, and lets it write no longer than it has it. Steps would come out
    right without: but of two that sign what the last records are, the slower one would put the older statement back.
    """

    def __init__(
        self,
        store: LedgerStore,
        signer: Signer,
        *,
        alone: Callable[[], AbstractContextManager[LedgerStore]],
        now_ms: Callable[[], int],
        random: Callable[[int], bytes],
        new_id: Callable[[], str],
    ) -> None:
        self._store = store
        self._signer = signer
        self._alone = alone
        self._now_ms = now_ms
        self._random = random
        self.ledger = store.begin(new_id())
        store.add_key(signer.id, signer.public)

    def seal(
        self, partitions: Sequence[int] | None = None, *, close: bool = True
    ) -> Sealed:
        """Seal what is in the log by now; `close` also closes epochs that are not full.

        Raises KeyUnusable when the ledger knows another public key of the same name, LockTaken when another seals,
        and LockLost when another has begun to because this one was paused for too long.
        """
        self._check_key()
        if partitions is None:
            partitions = range(self._store.partitions)
        is_begun = bool(self._store.identity().get("statement"))
        # Most looks find nothing new: they ask for no lease.
        if is_begun and not self._is_due(partitions, close):
            return Sealed()
        with self._alone() as store:
            sealer = copy(self)
            sealer._store = store
            return sealer._pass(partitions, close=close)

    def _is_due(self, partitions: Sequence[int], close: bool) -> bool:
        positions = self._store.places(partitions)
        if any(_has_more(position, position.head, close) for position in positions):
            return True
        return close and self._is_unstated()

    def _is_unstated(self) -> bool:
        """Tell whether epochs were closed that no statement names: who closed them has died, or was stopped, before it.

        Where one that is named is not there as it was, nothing is stated anew: that statement is what misses it.
        """
        stated = decode_statement(self._store.identity().get("statement", b""))
        heads = self._heads()
        if stated is None or stated.heads == heads:
            return False
        current = {
            partition: heads.get(partition, (0, "")) for partition in stated.heads
        }
        return all(
            current[partition] == head or current[partition][0] > head[0]
            for partition, head in stated.heads.items()
        )

    def _pass(self, partitions: Sequence[int], *, close: bool) -> Sealed:
        # First a statement, then epochs: an epoch without any statement is a finding, so a crash between must not
        # leave one.
        if not self._store.identity().get("statement"):
            self._state()
        events = epochs = left = 0
        for start in range(0, len(partitions), PARTITIONS_AT_ONCE):
            some = partitions[start : start + PARTITIONS_AT_ONCE]
            positions = zip(some, self._store.places(some), strict=True)
            goals = {partition: position.head for partition, position in positions}
            sealed = self._seal(goals, close=close)
            events += sealed.events
            epochs += sealed.epochs
            left += sealed.left
        # And one after the epochs, which names them: what is taken from their end is missed by it.
        if epochs or (close and self._is_unstated()):
            self._state()
        return Sealed(events, epochs, left)

    def _check_key(self) -> None:
        public = self._store.identity().get(f"key:{self._signer.id}")
        if public != self._signer.public:
            raise KeyUnusable(
                self._signer.id, "the store knows another public key by this name"
            )

    def _seal(self, goals: dict[int, int], *, close: bool) -> Sealed:
        events = epochs = 0
        tries = TRIES
        while True:
            current = self._store.places(list(goals))
            positions = dict(zip(goals, current, strict=True))
            todo = {
                partition: position
                for partition, position in positions.items()
                if _has_more(position, goals[partition], close)
            }
            if not todo or not tries:
                break
            tries -= 1
            for batch in self._read(todo):
                may_close = close and batch.to >= goals[batch.partition]
                seal = self._new_seal(batch, close=may_close)
                # Refused when another process was faster; what it has sealed is read in the next round.
                if self._store.seal(batch.partition, batch.position, seal):
                    if seal.closed or seal.to > batch.position.checkpoint:
                        tries = TRIES
                    events += len(batch.events)
                    epochs += seal.closed is not None
        left = sum(max(0, goals[p] - x.checkpoint) for p, x in positions.items())
        return Sealed(events, epochs, left)

    def _read(self, todo: dict[int, LedgerPosition]) -> list[_Batch]:
        """Read on, no further than an epoch reaches."""
        batches = []
        for partition, position in todo.items():
            sealed_count = position.checkpoint - position.first + 1
            room = min(BATCH, EPOCH_SIZE - sealed_count)
            to = 0
            events = list[Stored]()
            if room > 0:
                [(to, events)] = self._store.read(
                    [(partition, position.checkpoint)], room
                )
            to = max(position.checkpoint, to)
            batches.append(_Batch(partition, position, to, events))
        return batches

    def _new_seal(self, batch: _Batch, *, close: bool) -> Seal:
        position = batch.position
        to = batch.to
        leaves, salts = self._leaves_and_salts(batch)
        before = bytes.fromhex(position.chain) if position.chain else ABSENT
        seal = Seal(
            to=to,
            chain=chained(before, leaves).hex(),
            leaves=b"".join(leaves),
            salts=b"".join(salts),
            last=batch.events[-1] if batch.events else None,
        )
        is_full = to - position.first + 1 >= EPOCH_SIZE
        is_too_early = to < position.first or not (close or is_full)
        if is_too_early:
            return seal
        # The store may hold more leaves by now: those of another process that was faster. Then this seal is refused.
        sealed_count = position.checkpoint - position.first + 1
        stored = self._store.leaves(batch.partition, position.epoch)
        earlier = split(stored[: sealed_count * len(ABSENT)])
        return self._closed(batch.partition, position, seal, [*earlier, *leaves])

    def _leaves_and_salts(self, batch: _Batch) -> tuple[list[bytes], list[bytes]]:
        by_position = {event.n: event for event in batch.events}
        leaves = []
        salts = []
        for n in range(batch.position.checkpoint + 1, batch.to + 1):
            event = by_position.get(n)
            if event is None:
                salts.append(NO_SALT)
                leaves.append(ABSENT)
                continue
            salt = self._random(SALT_BYTES)
            salts.append(salt)
            leaves.append(leaf(batch.partition, event, commitment(salt, event)))
        return leaves, salts

    def _closed(
        self,
        partition: int,
        position: LedgerPosition,
        seal: Seal,
        leaves: Sequence[bytes],
    ) -> Seal:
        record = encode_record(
            EpochRecord(
                ledger=self.ledger,
                partition=partition,
                epoch=position.epoch,
                first=position.first,
                last=seal.to,
                root=root(leaves).hex(),
                chain=seal.chain,
                previous=position.previous,
                time_ms=self._now_ms(),
                key=self._signer.id,
            )
        )
        epoch = Epoch(position.epoch, record, self._signer.sign(record))
        return replace(seal, closed=epoch, closed_hash=digest(record))

    def _state(self) -> None:
        """Sign what the last records of all partitions are: what is taken away from the end is missed."""
        statement = encode_statement(
            Statement(
                ledger=self.ledger,
                time_ms=self._now_ms(),
                key=self._signer.id,
                heads=self._heads(),
            )
        )
        self._store.keep_statement(statement, self._signer.sign(statement))

    def _heads(self) -> dict[int, tuple[int, str]]:
        positions = self._store.places(range(self._store.partitions))
        return {
            partition: (position.epoch - 1, position.previous)
            for partition, position in enumerate(positions)
            if position.previous
        }
