"""What a check of the ledger looks at: of one partition, everything that the store or an export holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from eventstore.redis.ledger import (
    LEAF_BYTES,
    SALT_BYTES,
    Epoch,
    LedgerPosition,
    LedgerStore,
    LogEntry,
    Stored,
)
from eventstore.redis.upkeep.removal import archive_stream


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as it is found: `checkpoint` is how far it is sealed, `leaves` and `salts` are by epoch.

    `log` and `events` may be read only once, the log first, since they are read from where they are while one looks.
    """

    partition: int
    head: int
    checkpoint: int
    open_epoch: int
    open_first: int
    epochs: Sequence[Epoch]
    leaves: Mapping[int, bytes]
    salts: Mapping[int, bytes]
    erased: Mapping[int, bytes]
    log: Iterable[LogEntry]
    events: Iterable[Stored]
    blob: Callable[[str], bytes | None]
    """Gives a payload that is stored beside the log, by its SHA-256; None when it is not there."""

    later: Callable[[], tuple[int, Mapping[int, bytes]]] | None = None
    """Gives `head` and `erased` as they are by now, where they can change while the events are read."""

    def now(self) -> tuple[int, Mapping[int, bytes]]:
        """Return head and erased payloads, after events were read that go beyond those that were known."""
        if self.later is None:
            return (self.head, self.erased)
        return self.later()


@dataclass(frozen=True, slots=True)
class LedgerRecords:
    """A ledger: `keys` are those that it names itself, `statement` and its signature what was signed last of it all."""

    ledger: str
    partitions: int
    keys: Mapping[str, bytes] = field(default_factory=dict)
    statement: bytes = b""
    statement_signature: bytes = b""


def whole(store: LedgerStore) -> LedgerRecords:
    """Read what there is of the ledger as a whole."""
    identity = store.identity()
    return LedgerRecords(
        ledger=identity.get("id", b"").decode(),
        partitions=store.partitions,
        keys=named_keys(store),
        statement=identity.get("statement", b""),
        statement_signature=identity.get("statement_signature", b""),
    )


def named_keys(store: LedgerStore) -> dict[str, bytes]:
    """Return the public keys that the ledger names, by id."""
    identity = store.identity()
    return {
        name.removeprefix("key:"): public
        for name, public in identity.items()
        if name.startswith("key:")
    }


def read_partitions(store: LedgerStore) -> Iterator[Partition]:
    """Read all partitions, one after the other, their logs and events while one looks at them.

    How far they are sealed is read before which streams there are: what comes, and what is sealed, after that is not
    looked at as sealed. What leaves meanwhile is named in the stream of the archive, which is read last.
    """
    # First how far they are sealed, then the streams: what comes in between is not looked at as sealed.
    positions = store.places(range(store.partitions))
    streams = store.streams()
    for partition, position in enumerate(positions):
        notes = archive_stream(partition)
        names = [name for name in streams.get(partition, []) if name != notes]
        yield _read_partition(store, partition, position, [*names, notes])


def _read_partition(
    store: LedgerStore, partition: int, position: LedgerPosition, streams: Sequence[str]
) -> Partition:
    epochs = [
        epoch for epoch in store.epochs(partition) if epoch.number < position.epoch
    ]
    # An epoch has a position at least, so a forged number cannot make more reads than there are positions.
    last_epoch = min(position.epoch, position.head + 1)
    numbers = range(1, last_epoch + 1)
    leaves = {e: store.leaves(partition, e) for e in numbers}
    salts = {e: store.salts(partition, e) for e in numbers}
    # The open epoch may have grown since its checkpoint was read.
    sealed_count = position.checkpoint - position.first + 1
    open_leaves = leaves[position.epoch]
    open_salts = salts[position.epoch]
    leaves[position.epoch] = open_leaves[: sealed_count * LEAF_BYTES]
    salts[position.epoch] = open_salts[: sealed_count * SALT_BYTES]
    erased = store.erased(partition)

    def later() -> tuple[int, Mapping[int, bytes]]:
        [after] = store.places([partition])
        return after.head, {**erased, **store.erased(partition)}

    return Partition(
        partition=partition,
        head=position.head,
        checkpoint=position.checkpoint,
        open_epoch=position.epoch,
        open_first=position.first,
        epochs=epochs,
        leaves=leaves,
        salts=salts,
        erased=erased,
        log=store.log(partition),
        events=store.each_event(streams),
        blob=lambda sha: store.blob(partition, sha),
        later=later,
    )
