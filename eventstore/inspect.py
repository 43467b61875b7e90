"""Looks at a whole store at once, for checks and repairs; never on the path of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from eventstore.event import Recorded
from eventstore.grouping import PAGE, groups
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
    """Everything of a partition but its events and its log.

    `ready` are the steps that wait for workers by queue, `sets` the same by the names of the sets that they are in.
    """

    partition: int
    n: int
    due: Mapping[str, float]
    ready: Mapping[str, frozenset[str]]
    heads: Mapping[str, RunHead]
    sets: Mapping[str, frozenset[str]]
    now_ms: int


LOOKED_AT = 200
"""How many steps of a queue are looked at to say what they wait for."""


class Inspector:
    """Reads partitions, about a page of the log or of events at a time."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._queues: set[str] = set()
        self._streams: dict[int, set[str]] = {}

    def log(self, partition: int) -> Iterator[LogEntry]:
        """Read the log of a partition."""
        start = b"-"
        while True:
            call = PlainCall((b"XRANGE", self._store.keys.log(partition), start, b"+", b"COUNT", PAGE))
            [page] = self._store.call([call])
            yield from (_entry(entry) for entry in page)
            if len(page) < PAGE:
                return
            start = b"(" + page[-1][0]

    def partition(self, partition: int, runs: Iterable[str]) -> PartitionView:
        """Read the counter, due members and ready sets of a partition, and the heads of some runs of it."""
        keys, call = self._store.keys, self._store.call
        counter, due = call(
            [
                PlainCall((b"HGET", keys.meta(partition), b"n")),
                PlainCall((b"ZRANGE", keys.due(partition), 0, -1, b"WITHSCORES")),
            ]
        )
        now = self._store.now_ms()  # before the heads: a lease that has run out by then had run out when it was read
        heads = {head.run: head for head in self._store.heads(sorted(runs)) if head is not None}
        sets = self._sets(partition, heads.values())
        ready: dict[str, frozenset[str]] = {}
        for name, members in sets.items():
            queue = name.partition("|")[0]
            ready[queue] = ready.get(queue, frozenset()) | members
        return PartitionView(partition, int(counter or 0), _scores(due), ready, heads, sets, now)

    def _sets(self, partition: int, heads: Iterable[RunHead]) -> dict[str, frozenset[str]]:
        """Read what waits for workers: the sets of the queues, and those of steps that were set aside."""
        keys, call = self._store.keys, self._store.call
        queues = sorted(self._queues | {record.queue for head in heads for record in head.steps.values()})
        if not queues:
            return {}
        aside = call([PlainCall((b"SMEMBERS", keys.aside(partition, queue))) for queue in queues])
        names = [*queues, *(f"{q}|{x.decode()}" for q, found in zip(queues, aside, strict=True) for x in found)]
        replies = call([PlainCall((b"ZRANGE", keys.ready(partition, name), 0, -1)) for name in names])
        return {x: frozenset(key.decode() for key in reply) for x, reply in zip(names, replies, strict=True)}

    def find_queues(self) -> None:
        """Look which queues there are; one scan of the keys, so not for every partition."""
        prefix = self._store.keys.prefix.encode()
        names = self._store.scan(prefix + b":{*}:ready:*")
        self._queues = {name.split(b":ready:", 1)[1].split(b"|", 1)[0].decode() for name in names}

    def waiting(self) -> Counter[tuple[str, str]]:
        """Count the steps that wait for workers, by queue and component; of long queues, only the oldest are looked at.

        The component is empty where an older version opened the step.
        """
        call, found = self._store.call, Counter[tuple[str, str]]()
        names = self._store.scan(self._store.keys.prefix.encode() + b":{*}:ready:*")
        for name in names:
            common, _, rest = name.partition(b"ready:")
            queue, apart, component = rest.decode().partition("|")
            if apart:
                found[queue, component] += call([PlainCall((b"ZCARD", name))])[0]
                continue
            members = [key.partition(b"|") for key in call([PlainCall((b"ZRANGE", name, 0, LOOKED_AT))])[0]]
            heads = [PlainCall((b"HGET", common + b"head:" + run, b"c:" + step)) for run, _, step in members]
            for said in call(heads) if heads else ():
                found[queue, (said or b"").decode()] += 1
        return found

    def find_streams(self) -> None:
        """Look which streams have events; one scan of the keys, so not for every partition."""
        prefix = self._store.keys.prefix.encode()
        self._streams = {}
        for name in self._store.scan(prefix + b":{*}:run:*"):
            partition, _, stream = name.removeprefix(prefix + b":{").partition(b"}:run:")
            self._streams.setdefault(int(partition), set()).add(stream.decode("utf-8", "surrogatepass"))

    def streams(self, partition: int) -> frozenset[str]:
        """Give the streams that had events in a partition when they were looked for."""
        return frozenset(self._streams.get(partition, ()))

    def histories(self, runs: Iterable[str]) -> Iterator[tuple[str, tuple[Recorded, ...]]]:
        """Read runs with their events; of several runs at once only if they have few."""
        for group in groups(self._store, runs):
            names = [run for run, _ in group]
            yield from zip(names, self._store.read([(run, 0) for run in names]), strict=True)


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
