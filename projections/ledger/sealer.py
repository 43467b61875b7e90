"""Sealing: what has come into the log goes into the ledger, and full epochs are closed and signed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


class Sealer:
    """Keeps the ledger; any number may be at work, each step is refused when another was faster."""

    def __init__(
        self,
        store: LedgerStore,
        signer: Signer,
        *,
        now_ms: Callable[[], int],
        random: Callable[[int], bytes],
        new_id: Callable[[], str],
    ) -> None:
        self._store, self._signer, self._now_ms, self._random = (
            store,
            signer,
            now_ms,
            random,
        )
        self.ledger = store.begin(new_id())
        store.add_key(signer.id, signer.public)

    def seal(
        self, partitions: Sequence[int] | None = None, *, close: bool = True
    ) -> Sealed:
        """Seal what is in the log by now; `close` also closes epochs that are not full.

        Raises KeyUnusable when the ledger knows another public key of the same name.
        """
        self._check_key()
        if not self._store.identity().get("statement"):
            self._state()  # before there is an epoch, so that an epoch without a statement is a finding
        wanted = list(
            range(self._store.partitions) if partitions is None else partitions
        )
        events = epochs = left = 0
        for start in range(0, len(wanted), PARTITIONS_AT_ONCE):
            some = wanted[start : start + PARTITIONS_AT_ONCE]
            goals = {
                p: place.head
                for p, place in zip(some, self._store.places(some), strict=True)
            }
            done = self._seal(goals, close=close)
            events, epochs, left = (
                events + done.events,
                epochs + done.epochs,
                left + done.left,
            )
        if epochs:
            self._state()
        return Sealed(events, epochs, left)

    def _check_key(self) -> None:
        known = self._store.identity().get(f"key:{self._signer.id}")
        if known != self._signer.public:
            raise KeyUnusable(
                self._signer.id, "the store knows another public key by this name"
            )

    def _seal(self, goals: dict[int, int], *, close: bool) -> Sealed:
        events = epochs = 0
        tries = TRIES
        while True:
            places = dict(zip(goals, self._store.places(list(goals)), strict=True))
            todo = {
                p: x
                for p, x in places.items()
                if x.checkpoint < goals[p] or (close and x.first <= x.checkpoint)
            }
            if not todo or not tries:
                break
            tries -= 1
            for partition, place, to, found in self._read(todo):
                made = self._made(
                    partition, place, to, found, close=close and to >= goals[partition]
                )
                if self._store.seal(partition, place, made):
                    tries = (
                        TRIES if made.closed or made.to > place.checkpoint else tries
                    )
                    events += len(found)
                    epochs += made.closed is not None
        left = sum(max(0, goals[p] - x.checkpoint) for p, x in places.items())
        return Sealed(events, epochs, left)

    def _read(
        self, todo: dict[int, LedgerPosition]
    ) -> list[tuple[int, LedgerPosition, int, list[Stored]]]:
        """Read on, no further than an epoch reaches."""
        out = []
        for partition, place in todo.items():
            room = min(BATCH, EPOCH_SIZE - (place.checkpoint - place.first + 1))
            [(to, found)] = (
                self._store.read([(partition, place.checkpoint)], room)
                if room > 0
                else [(0, [])]
            )
            out.append((partition, place, max(place.checkpoint, to), found))
        return out

    def _made(
        self,
        partition: int,
        place: LedgerPosition,
        to: int,
        found: Sequence[Stored],
        *,
        close: bool,
    ) -> Seal:
        by_position = {event.n: event for event in found}
        leaves, salts = [], []
        for n in range(place.checkpoint + 1, to + 1):
            event = by_position.get(n)
            salt = NO_SALT if event is None else self._random(SALT_BYTES)
            salts.append(salt)
            leaves.append(
                ABSENT
                if event is None
                else leaf(partition, event, commitment(salt, event))
            )
        chain = chained(bytes.fromhex(place.chain) if place.chain else ABSENT, leaves)
        made = Seal(
            to,
            chain.hex(),
            b"".join(leaves),
            b"".join(salts),
            last=found[-1] if found else None,
        )
        full = to - place.first + 1 >= EPOCH_SIZE
        if to < place.first or not (close or full):
            return made
        before = self._store.leaves(partition, place.epoch)[
            : (place.checkpoint - place.first + 1) * len(ABSENT)
        ]
        return self._closed(partition, place, made, [*split(before), *leaves])

    def _closed(
        self, partition: int, place: LedgerPosition, made: Seal, leaves: Sequence[bytes]
    ) -> Seal:
        record = encode_record(
            EpochRecord(
                self.ledger,
                partition,
                place.epoch,
                place.first,
                made.to,
                root(leaves).hex(),
                made.chain,
                place.previous,
                self._now_ms(),
                self._signer.id,
            )
        )
        epoch = Epoch(place.epoch, record, self._signer.sign(record))
        return replace(made, closed=epoch, closed_hash=digest(record))

    def _state(self) -> None:
        """Sign what the last records of all partitions are: what is taken away from the end is missed."""
        places = self._store.places(range(self._store.partitions))
        heads = {
            p: (place.epoch - 1, place.previous)
            for p, place in enumerate(places)
            if place.previous
        }
        statement = encode_statement(
            Statement(self.ledger, self._now_ms(), self._signer.id, heads)
        )
        self._store.keep_statement(statement, self._signer.sign(statement))
