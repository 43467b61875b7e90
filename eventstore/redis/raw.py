"""The events of a run as the store has them, byte for byte: for what leaves one store and comes into another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventstore.codec import decode
from eventstore.event import Position, Recorded
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall
from eventstore.redis.ledger import Stored

PAGE: Final = 5000


@dataclass(frozen=True, slots=True)
class RawEvent:
    """A stored event; `data` and `metadata` are its bytes, which may be anything, the latter empty for none."""

    version: int
    n: int
    time_ms: int
    commit: str
    actor: str
    cause: str
    type: str
    data: bytes
    metadata: bytes = b""

    def stored(self, run: str) -> Stored:
        """Return the event as the ledger looks at it."""
        who = self.commit, self.actor, self.cause
        return Stored(
            run,
            self.version,
            self.n,
            self.time_ms,
            *who,
            self.type,
            self.data,
            self.metadata,
        )

    def recorded(self, run: str, partition: int) -> Recorded:
        """Return the event with its data read.

        Raises ValueError when that is no JSON.
        """
        metadata: Mapping[str, Any] = decode(self.metadata) if self.metadata else {}
        position = Position(partition, self.n)
        who = (self.commit, self.actor, self.cause)
        return Recorded(
            run,
            self.version,
            position,
            self.time_ms,
            *who,
            self.type,
            decode(self.data),
            metadata,
        )


def read_raw(store: RedisClient, run: str, page: int = PAGE) -> tuple[RawEvent, ...]:
    """Read the events of a run, none when there is no such run.

    It is read page by page, but a log only grows: what is read is all of it up to the end of some commit.
    """
    return tuple(_pages(store, run, page))


def _pages(store: RedisClient, run: str, page: int) -> Iterator[RawEvent]:
    after = 0
    while True:
        key = store.keys.stream(run)
        entries = store.call(
            [PlainCall((b"XRANGE", key, f"{after + 1}-0", b"+", b"COUNT", page))]
        )[0]
        for entry in entries:
            event = _raw(entry)
            after = event.version
            yield event
        if len(entries) < page:
            return


def _raw(entry: Sequence[Any]) -> RawEvent:
    identity, f = entry
    return RawEvent(
        version=int(identity[: identity.index(b"-")]),
        n=int(f[7]),
        time_ms=int(f[5]),
        commit=_text(f[9]),
        actor=_text(f[11]),
        cause=_text(f[13]),
        type=_text(f[1]),
        data=f[3],
        metadata=f[15] if len(f) > 14 else b"",
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


def ends_of_commits(events: Iterable[RawEvent]) -> list[int]:
    """Return the versions at which commits end: whoever cuts a history should do it there."""
    ends: list[int] = []
    last: RawEvent | None = None
    for event in events:
        if last is not None and event.commit != last.commit:
            ends.append(last.version)
        last = event
    if last is not None:
        return [*ends, last.version]
    return ends
