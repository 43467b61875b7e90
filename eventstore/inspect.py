"""Looks at a whole store at once, for checks and repairs; never on the path of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eventstore.event import Recorded
from eventstore.run_model import RunHead
from eventstore.run_store import RunStore
from eventstore.scripts import PlainCall


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One commit in the log of a partition."""

    n: int
    time_ms: int
    stream: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class PartitionView:
    """Everything of a partition but the events; `first_n` is the position before its first log entry."""

    partition: int
    n: int
    first_n: int
    log: tuple[LogEntry, ...]
    due: Mapping[str, float]
    ready: Mapping[str, frozenset[str]]
    heads: Mapping[str, RunHead]

    @property
    def runs(self) -> tuple[str, ...]:
        """Give the runs that have a head or a log entry."""
        return tuple(sorted({*self.heads, *(entry.stream for entry in self.log)}))


class Inspector:
    """Reads partitions whole."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._queues: set[str] = set()

    def partition(self, partition: int) -> PartitionView:
        """Read a partition: counter, log, due members, ready sets and heads."""
        keys, call = self._store.keys, self._store.call
        counter, entries, due = call(
            [
                PlainCall((b"HGET", keys.meta(partition), b"n")),
                PlainCall((b"XRANGE", keys.log(partition), b"-", b"+")),
                PlainCall((b"ZRANGE", keys.due(partition), 0, -1, b"WITHSCORES")),
            ]
        )
        log = tuple(_entry(entry) for entry in entries)
        runs = sorted({entry.stream for entry in log})
        heads = {head.run: head for head in self._store.heads(runs) if head is not None}
        first = log[0].n - (log[0].last - log[0].first + 1) if log else int(counter or 0)
        ready = self._ready(partition, heads.values())
        return PartitionView(partition, int(counter or 0), first, log, _scores(due), ready, heads)

    def _ready(self, partition: int, heads: Iterable[RunHead]) -> dict[str, frozenset[str]]:
        keys = self._store.keys
        queues = sorted(self._queues | {record.queue for head in heads for record in head.steps.values()})
        names = [keys.ready(partition, queue) for queue in queues]
        replies = self._store.call([PlainCall((b"ZRANGE", name, 0, -1)) for name in names]) if names else []
        return {queue: frozenset(key.decode() for key in reply) for queue, reply in zip(queues, replies, strict=True)}

    def find_queues(self) -> None:
        """Look which queues there are; one scan of the keys, so not for every partition."""
        prefix = self._store.keys.prefix.encode()
        names = self._store.scan(prefix + b":{*}:ready:*")
        self._queues = {name.split(b":ready:", 1)[1].decode() for name in names}

    def histories(self, runs: Iterable[str]) -> dict[str, tuple[Recorded, ...]]:
        """Read the events of runs."""
        wanted = list(runs)
        out: dict[str, tuple[Recorded, ...]] = {}
        for start in range(0, len(wanted), 200):
            chunk = wanted[start : start + 200]
            out.update(zip(chunk, self._store.read([(run, 0) for run in chunk]), strict=True))
        return out


def _entry(entry: Any) -> LogEntry:
    identity, raw = entry
    n, _, time_ms = identity.partition(b"-")
    fields: dict[bytes, bytes] = dict(zip(raw[::2], raw[1::2], strict=True))
    return LogEntry(
        int(n), int(time_ms), fields[b"r"].decode("utf-8", "surrogatepass"), int(fields[b"f"]), int(fields[b"l"])
    )


def _scores(reply: Any) -> dict[str, float]:
    flat = [x for item in reply for x in item] if reply and isinstance(reply[0], list) else reply
    return {flat[i].decode(): float(flat[i + 1]) for i in range(0, len(flat), 2)}
