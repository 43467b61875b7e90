"""Looks at a whole store at once, for checks and repairs; never on the path of a run."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.event import Recorded
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text
from eventstore.redis.grouping import PAGE, groups
from eventstore.redis.heads import read_head
from eventstore.redis.paging import Unreadable, courses
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import RunHead


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One commit in the log of a partition."""

    n: int
    time_ms: int
    stream: str
    first: int
    last: int

    @property
    def id(self) -> str:
        """Return the id that it has in the log."""
        return f"{self.n}-{self.time_ms}"


@dataclass(frozen=True, slots=True)
class RunView:
    """A run from outside: its head, what its stream, the log and the indexes say of it.

    `events` is how many there are, `last` the version of the last one, `kind` and `commit` are of that one. `logged` is
    up to where the log covers them, 0 where it does not know of the run. `due` are its due members, `ready` its steps
    that wait for workers, each with the set that it is in.
    """

    run: str
    head: RunHead | None
    events: int
    last: int
    kind: str
    commit: str
    logged: int
    due: frozenset[str]
    ready: frozenset[tuple[str, str]]
    now_ms: int


@dataclass(slots=True)
class Indexes:
    """The due members and the ready steps of a partition, by run: asked for each run, they are read only once."""

    due: dict[str, set[str]] = field(default_factory=dict)
    ready: dict[str, set[tuple[str, str]]] = field(default_factory=dict)

    def add_due(self, member: str) -> None:
        """Add a due member."""
        self.due.setdefault(member[2:].partition("|")[0], set()).add(member)

    def add_ready(self, name: str, key: str) -> None:
        """Add a step of a ready set."""
        self.ready.setdefault(key.partition("|")[0], set()).add((name, key))


@dataclass(frozen=True, slots=True)
class LogTails:
    """What has been read of the log of a partition: the last entry of each stream, and of all."""

    entries: Mapping[str, LogEntry]
    last: LogEntry | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock by name, "<kind>:<key>", before which somebody waits; members are "run|step", without a step for runs."""

    name: str
    holders: tuple[str, ...]
    line: tuple[str, ...]


MEMBERS: Final = 10_000
"""How many members of an index are asked for at a time."""

RUNS: Final = 250
"""How many runs are looked at in a round trip: none of them keeps a server busy for long."""

LOOKED_AT: Final = 200
"""How many steps of a queue are looked at to say what they wait for."""


class Inspector:
    """Reads partitions, about a page of the log, of the runs or of events at a time."""

    def __init__(self, store: RedisRunStore) -> None:
        self._store = store
        self._queues: set[str] = set()
        self._streams: dict[int, set[str]] = {}
        self._survey = Script("survey", load_text("survey.lua"))

    def log(self, partition: int) -> Iterator[LogEntry]:
        """Read the log of a partition."""
        start = b"-"
        while True:
            call = PlainCall(
                (
                    b"XRANGE",
                    self._store.keys.log(partition),
                    start,
                    b"+",
                    b"COUNT",
                    PAGE,
                )
            )
            [page] = self._store.call([call])
            yield from (_entry(entry) for entry in page)
            if len(page) < PAGE:
                return
            start = b"(" + page[-1][0]

    def counter(self, partition: int) -> int:
        """Read how many events a partition has had."""
        [counter] = self._store.call(
            [PlainCall((b"HGET", self._store.keys.meta(partition), b"n"))]
        )
        return int(counter or 0)

    def indexes(self, partition: int) -> Indexes:
        """Read the due members and the ready steps of a partition; not at one moment with anything else."""
        keys = self._store.keys
        indexes = Indexes()
        for member in self._members(keys.due(partition)):
            indexes.add_due(member)
        queues = sorted(self._queues)
        aside = self._store.call(
            [PlainCall((b"SMEMBERS", keys.aside(partition, queue))) for queue in queues]
        )
        sets = list(queues)
        for queue, components in zip(queues, aside, strict=True):
            sets += [f"{queue}|{component.decode()}" for component in components]
        for name in sets:
            for key in self._members(keys.ready(partition, name)):
                indexes.add_ready(name, key)
        for queue in queues:
            for key in self._members(keys.fair(partition, queue)):
                indexes.add_ready(queue, key)
        return indexes

    def _members(self, name: bytes) -> Iterator[str]:
        for start in itertools.count(0, MEMBERS):
            [page] = self._store.call(
                [PlainCall((b"ZRANGE", name, start, start + MEMBERS - 1))]
            )
            yield from (member.decode() for member in page)
            if len(page) < MEMBERS:
                return

    def views(
        self, partition: int, tails: LogTails, indexes: Indexes, streams: Sequence[str]
    ) -> Iterator[RunView]:
        """Look at runs, many in a round trip; the indexes and the log were read before, so a run may have moved on."""
        for start in range(0, len(streams), RUNS):
            some = streams[start : start + RUNS]
            now, replies, *_ = self._surveyed(partition, tails, some, whole=False)
            for run, reply in zip(some, replies, strict=True):
                entry = tails.entries.get(run)
                yield _view(run, reply, indexes, entry.last if entry else 0, now)

    def moment(
        self, partition: int, tails: LogTails, streams: Sequence[str]
    ) -> Iterator[RunView]:
        """Look at runs with all that the store says of them at one moment; this walks the indexes, so for few runs."""
        for start in range(0, len(streams), RUNS):
            some = streams[start : start + RUNS]
            now, replies, due, ready, logged = self._surveyed(
                partition, tails, some, whole=True
            )
            indexes = Indexes()
            for member in due:
                indexes.add_due(member.decode())
            for name, key in ready:
                indexes.add_ready(name.decode(), key.decode())
            last = {
                run: tails.entries[run].last
                for run, reply in zip(some, replies, strict=True)
                if reply[5]
            }
            last |= {_text(run): int(version) for run, version in logged}
            yield from (
                _view(run, reply, indexes, last.get(run, 0), now)
                for run, reply in zip(some, replies, strict=True)
            )

    def _surveyed(
        self, partition: int, tails: LogTails, runs: Sequence[str], *, whole: bool
    ) -> Any:
        keys = self._store.keys
        queues = sorted(self._queues)
        args: list[Any] = [
            int(whole),
            tails.last.id if tails.last else "-",
            len(queues),
            *queues,
        ]
        for run in runs:
            entry = tails.entries.get(run)
            args += (run.encode("utf-8", "surrogatepass"), entry.id if entry else "")
        return self._store.call(
            [
                ScriptCall(
                    self._survey,
                    [keys.meta(partition), keys.log(partition), keys.due(partition)],
                    args,
                )
            ]
        )[0]

    def find(self) -> None:
        """Look which queues there are, and which streams have events; one scan of the keys for all partitions."""
        prefix = self._store.keys.prefix.encode()
        self._queues, self._streams = set(), {}
        for name in self._store.scan(prefix + b":{*}:r*"):
            partition, _, rest = name.removeprefix(prefix + b":{").partition(b"}:")
            kind, _, subject = rest.partition(b":")
            if kind == b"run":
                self._streams.setdefault(int(partition), set()).add(_text(subject))
            elif kind == b"ready":
                self._queues.add(subject.split(b"|", 1)[0].decode())

    def waiting(self) -> Counter[tuple[str, str]]:
        """Count the steps that wait for workers, by queue and component; of long queues, only the oldest are looked at.

        The component is empty where an older version opened the step.
        """
        call = self._store.call
        counts = Counter[tuple[str, str]]()
        names = self._store.scan(self._store.keys.prefix.encode() + b":{*}:ready:*")
        for name in names:
            common, _, rest = name.partition(b"ready:")
            queue, apart, component = rest.decode().partition("|")
            if apart:
                counts[queue, component] += call([PlainCall((b"ZCARD", name))])[0]
                continue
            members = [
                key.partition(b"|")
                for key in call([PlainCall((b"ZRANGE", name, 0, LOOKED_AT))])[0]
            ]
            heads = [
                PlainCall((b"HGET", common + b"head:" + run, b"c:" + step))
                for run, _, step in members
            ]
            for reply in call(heads) if heads else ():
                counts[queue, (reply or b"").decode()] += 1
        return counts

    def places(self) -> Iterator[Lock]:
        """Return the limits of concurrency before which somebody waits, each as it is at one moment."""
        call = self._store.call
        prefix = self._store.keys.prefix.encode()
        for line in sorted(self._store.scan(prefix + b":{*}:line:concurrency:*")):
            common, _, name = line.partition(b":line:")
            asked = [
                PlainCall((b"HKEYS", common + b":gate:" + name)),
                PlainCall((b"ZRANGE", line, 0, -1)),
            ]
            gate, waiting = call(asked)
            holders = sorted(
                _text(member[2:]) for member in gate if member.startswith(b"h:")
            )
            yield Lock(_text(name), tuple(holders), tuple(map(_text, waiting)))

    def streams(self, partition: int) -> frozenset[str]:
        """Return the streams that had events in a partition when they were looked for."""
        return frozenset(self._streams.get(partition, ()))

    def histories(
        self, runs: Iterable[str]
    ) -> Iterator[tuple[str, tuple[Recorded, ...]]]:
        """Read runs with their events; of several runs at once only if they have few."""
        for group in groups(self._store, runs):
            names = [run for run, _ in group]
            yield from zip(
                names, self._store.read([(run, 0) for run in names]), strict=True
            )

    def courses(
        self, views: Iterable[RunView]
    ) -> Iterator[tuple[RunView, Iterator[Recorded | Unreadable]]]:
        """Return runs with their events up to where they were when they were looked at, about a page at a time."""
        for group in _together(views):
            runs = [view.run for view in group]
            for view, course in zip(group, courses(self._store, runs), strict=True):
                yield view, _upto(course, view.last)


def _together(views: Iterable[RunView]) -> Iterator[list[RunView]]:
    """Put runs together that have fewer events than a page has."""
    group: list[RunView] = []
    for view in views:
        if group and sum(x.events + 1 for x in group) + view.events > PAGE:
            yield group
            group = []
        group.append(view)
    if group:
        yield group


def _upto(
    events: Iterable[Recorded | Unreadable], last: int
) -> Iterator[Recorded | Unreadable]:
    return itertools.takewhile(lambda item: item.version <= last, events)


def _view(run: str, reply: Any, indexes: Indexes, logged: int, now_ms: int) -> RunView:
    fields, events, last, kind, commit, _ = reply
    return RunView(
        run=run,
        head=read_head(run, fields),
        events=events,
        last=int(last.partition(b"-")[0] or 0),
        kind=_text(kind),
        commit=_text(commit),
        logged=logged,
        due=frozenset(indexes.due.get(run, ())),
        ready=frozenset(indexes.ready.get(run, ())),
        now_ms=now_ms,
    )


def _text(raw: bytes) -> str:
    """Read a text; what is none was not written by this engine, and still has to be named."""
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return "\ufffd" + raw.decode("utf-8", "backslashreplace")


def _number(raw: bytes) -> int:
    if raw.isdigit() and len(raw) < 20:
        return int(raw)
    return -1


def _entry(entry: Any) -> LogEntry:
    identity, raw = entry
    n, _, time_ms = identity.partition(b"-")
    fields: dict[bytes, bytes] = dict(zip(raw[::2], raw[1::2], strict=False))
    first, last = (_number(fields.get(name, b"")) for name in (b"f", b"l"))
    return LogEntry(
        n=int(n),
        time_ms=int(time_ms),
        stream=_text(fields.get(b"r", b"")),
        first=first,
        last=last,
    )
