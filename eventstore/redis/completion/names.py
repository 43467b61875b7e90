"""What there is in a store, by name: runs that something happened to lately, workflows, schedules, components."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from eventstore.errors import NoStore
from eventstore.keys import Keyspace
from eventstore.redis.completion.line import Command, Line

LATEST: Final = 20
"""How many entries of the log of each partition are looked at where all of them may be meant."""

LATEST_OF_ONE: Final = 1000
"""The same where the partition is known: its log is all that there is to look into."""

MOST: Final = 50
"""How many runs are proposed."""

WORKFLOWS: Final = b"workflow:"
"""How the names of workflows begin in the catalog."""

MOST_WORKFLOWS: Final = 500
"""Among so many workflows are those that are proposed."""


@dataclass(frozen=True, slots=True)
class RunName:
    """A run, with what tells it from others."""

    run: str
    status: str
    workflow: str


def running_server(directory: Path, user: int) -> str | None:
    """Return the URL of the embedded server that runs in a user's own directory, as far as that is on record.

    Nobody is kept from anything: no lock is taken, and no server is started or kept from ending.
    """
    try:
        if directory.lstat().st_uid != user:
            return None
        record = json.loads((directory / "server.json").read_text("utf-8"))
        return str(record["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Names:
    """The names in a store; each question takes as many round trips as its method says."""

    def __init__(self, line: Line, prefix: str) -> None:
        self._line = line
        self._named = Keyspace(prefix)  # how many partitions there are, the store says

    def runs(self, beginning: str) -> list[RunName]:
        """Return runs whose ids begin like that, the latest first; three round trips."""
        keys = self._keys()
        chosen = _partitions(beginning, keys.partitions)
        count = LATEST_OF_ONE if len(chosen) == 1 else LATEST
        logs = self._line.ask(
            [("XREVRANGE", keys.log(p), "+", "-", "COUNT", count) for p in chosen]
        )
        latest = _latest(logs, beginning)
        questions: list[Command] = [
            ("HMGET", keys.head(run), "st", "wf") for run in latest
        ]
        heads = self._line.ask(questions)
        names = map(_run_name, latest, heads)
        return [name for name in names if name.status]  # others have left the store

    def workflows(self) -> list[str]:
        """Return published workflows: their ids, and each as ID@VERSION and ID@ALIAS; two round trips."""
        begin, end = b"[" + WORKFLOWS, b"(" + WORKFLOWS + b"\xff"
        in_catalog: Command = (
            *("ZRANGEBYLEX", self._named.catalog("names"), begin, end),
            *("LIMIT", 0, MOST_WORKFLOWS),
        )
        # What older versions have published, until it is carried over.
        older: list[Command] = [
            ("HKEYS", self._named.registry("workflows")),
            ("HKEYS", self._named.registry("aliases")),
        ]
        keys, *replies = self._line.ask([in_catalog, *older])
        names = set(map(_text, chain.from_iterable(filter(None, replies))))
        if keys:
            [entries] = self._line.ask([("HMGET", self._named.catalog(), *keys)])
            names.update(chain.from_iterable(map(_named, keys, entries)))
        ordered = sorted(names)
        ids = dict.fromkeys(name.partition("@")[0] for name in ordered)
        return [*ids, *ordered]

    def components(self) -> list[str]:
        """Return the components that workers have announced; one round trip."""
        names = self._members([("HKEYS", self._named.registry("components"))])
        return list(dict.fromkeys(name.partition("@")[0] for name in names))

    def schedules(self) -> list[str]:
        """Return the schedules; two round trips."""
        keys = self._keys()
        commands: list[Command] = [
            ("SMEMBERS", keys.view(p, "schedules")) for p in range(keys.partitions)
        ]
        return self._members(commands)

    def _members(self, questions: Sequence[Command]) -> list[str]:
        """Return what is in some sets or hashes, by name; one that cannot be read has nothing."""
        replies = self._line.ask(questions)
        members = chain.from_iterable(filter(None, replies))
        return sorted(set(map(_text, members)))

    def _keys(self) -> Keyspace:
        """Return the keys of the store.

        Raises NoStore.
        """
        prefix = self._named.prefix
        record = self._line.ask([("HGET", self._named.store(), "partitions")])
        if record == [None]:
            raise NoStore(f"under the prefix {prefix}")
        return Keyspace(prefix, int(record[0]))


def _named(key: bytes, stored: bytes | None) -> list[str]:
    """Return what a workflow of the catalog is called: each of its versions that stands, and its aliases."""
    if not stored:
        return []
    name = _text(key.removeprefix(WORKFLOWS))
    entry = json.loads(stored.partition(b"|")[2])
    versions = [
        version
        for version, data in entry.get("versions", {}).items()
        if data.get("withdrawn") is None
    ]
    return [f"{name}@{text}" for text in (*versions, *entry.get("aliases", ()))]


def _partitions(beginning: str, there_are: int) -> Sequence[int]:
    """Return the partitions whose runs may begin like that: an id begins with the number of its own, and a dash."""
    number, dash, _ = beginning.partition("-")
    numbers = range(there_are)
    if dash:
        return [p for p in numbers if str(p) == number]
    return [p for p in numbers if str(p).startswith(number)]


def _latest(logs: Iterable[Any], beginning: str) -> list[str]:
    """Return the runs that the entries of some logs are about, those of the latest entries first."""
    entries = list(chain.from_iterable(filter(None, logs)))
    # Each log has its latest entries first: from behind, they come last, and count.
    times = dict(map(_entry, reversed(entries)))
    runs = [run for run in times if run.startswith(beginning)]
    runs.sort(key=lambda run: times[run], reverse=True)
    return runs[:MOST]


def _entry(entry: tuple[bytes, Sequence[bytes]]) -> tuple[str, int]:
    """Return the run that an entry of a log is about, and when it was written: its id is <n>-<ms>, its field is r."""
    identity, fields = entry
    _, run, *_ = fields
    time_ms = identity.partition(b"-")[2]
    return _text(run), int(time_ms)


def _run_name(run: str, head: Sequence[bytes | None] | None) -> RunName:
    status, workflow = head or (None, None)
    return RunName(run, _text(status), _text(workflow))


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")
