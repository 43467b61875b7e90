"""Closed runs leave the store, in one atomic step each; what is left is an event in the stream of their partition."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text
from eventstore.redis.raw import RawEvent
from openagents_json.work_index import DueKey


class RemovalOutcome(IntEnum):
    """How it ended; the negative ones wrote nothing."""

    DONE = 1
    MOVED = -1
    UNKNOWN = -4
    OPEN = -5
    SENDING = -7
    HELD = -9
    UNREAD = -11
    ASTRAY = -12


@dataclass(frozen=True, slots=True)
class DepartingRun:
    """A run as it was read, with the event that says where it went.

    `without` are consumers that need not have read it, `required` those that must have even if they have read nothing
    yet, `messages` the due members that it may still have, `wipe` parts
    of key names that go with it; `keep` its id, so that no other run gets it.
    """

    run: str
    events: Sequence[RawEvent]
    blobs: Sequence[str]
    note: tuple[str, bytes]
    commit_id: str
    actor: str
    without: Sequence[str] = ()
    messages: Sequence[DueKey] = ()
    wipe: Sequence[str] = ()
    keep: bool = False
    required: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """What came of it; `detail` names what stood in the way."""

    code: RemovalOutcome
    detail: str = ""


class RunRemover:
    """Lets runs leave the store."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._free = Script(
            "free", load_text("runs_common.lua") + load_text("free.lua")
        )

    def free(self, leaving: DepartingRun) -> RemovalResult:
        """Let a run leave, unless something still needs it."""
        keys = self._store.keys
        run = leaving.run
        last = leaving.events[-1]
        partition = keys.partition_of(run)
        noted = archive_stream(partition)
        options = {
            "v": last.version,
            "lc": last.commit,
            "n": last.n,
            "without": list(leaving.without),
            "required": list(leaving.required),
            "blobs": list(leaving.blobs),
            "messages": [message.key() for message in leaving.messages],
            "wipe": list(leaving.wipe),
            "keep": leaving.keep,
        }
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(run),
            keys.head(run),
            keys.due(partition),
        ]
        names += [keys.checkpoints(partition), keys.stream(noted), keys.head(noted)]
        args: list[Any] = [
            json.dumps(options),
            run,
            noted,
            leaving.commit_id,
            leaving.actor,
            *leaving.note,
        ]
        args += _entries(leaving.events)
        code, *rest = self._store.call([ScriptCall(self._free, names, args)])[0]
        words = (x.decode() if isinstance(x, bytes) else str(x) for x in rest)
        return RemovalResult(RemovalOutcome(code), ", ".join(words))

    def memory(self, run: str, blobs: Iterable[str] = (), entries: int = 0) -> int:
        """Return about how many bytes a run takes in the server: its keys, its payloads, its part of the log."""
        keys = self._store.keys
        partition = self._store.keys.partition_of(run)
        names = [keys.stream(run), keys.head(run), keys.snapshot(run), keys.output(run)]
        names += [keys.blob(partition, sha) for sha in blobs]
        calls = [
            PlainCall((b"MEMORY", b"USAGE", name, b"SAMPLES", 0))
            for name in [*names, keys.log(partition)]
        ]
        *own, log, length = self._store.call(
            [*calls, PlainCall((b"XLEN", keys.log(partition)))]
        )
        share_of_log = entries * (log or 0) // length if length else 0
        return sum(size or 0 for size in own) + share_of_log


def archive_stream(partition: int) -> str:
    """Name the stream of a partition that notes which runs have left it."""
    return f"{partition}-archive"


def _entries(events: Sequence[RawEvent]) -> list[str]:
    """Return the ids of the log entries of a run: one for each commit, named by its last event."""
    groups = itertools.groupby(events, key=lambda event: (event.commit, event.time_ms))
    return [
        f"{last.n}-{last.time_ms}" for _, group in groups for last in [list(group)[-1]]
    ]


def positions(events: Sequence[RawEvent]) -> list[list[int]]:
    """Return the positions of events as ranges, first and last of each."""
    out: list[list[int]] = []
    for event in events:
        if out and out[-1][1] == event.n - 1:
            out[-1][1] = event.n
        else:
            out.append([event.n, event.n])
    return out
