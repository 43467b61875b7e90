"""Append-only files without what was erased: written anew after the erasure, to their ends, on all servers.

The replicas of a cluster have files of their own.

A rewrite that is under way may have begun before the erasure, and no other can be asked for meanwhile. So a rewrite
counts only when it began after this was asked, and "done" is said only when it has ended and the old files are gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from eventstore.errors import EventStoreError, StoreRefused, StoreUnavailable
from eventstore.redis.driver.connection import Connection, Node
from eventstore.redis.driver.fitness.restart import writes_well
from eventstore.redis.driver.fitness.server_facts import is_here, place_of
from eventstore.redis.driver.server_info import info_of
from eventstore.redis.stored_texts import pairs_of

_PAUSE_S: Final = 0.05


class LogState(StrEnum):
    """Whether append-only files may still hold what was erased."""

    DONE = "done"
    """No server has it any more."""
    PENDING = "pending"
    """It was asked for, or could not be asked for yet; ask again, with more time."""
    REFUSED = "refused"
    """A server may not be asked, as with some services: who runs it has to."""


@dataclass(frozen=True, slots=True)
class LogsRewritten:
    """How it stands with the append-only files, and why it is not done."""

    state: LogState
    why: str = ""


def rewrite_logs(
    connection: Connection, wait_ms: float, steady_ms: Callable[[], float]
) -> LogsRewritten:
    """Have all servers write their append-only files anew, and wait for it, at most so long; always asks once."""
    pause = threading.Event()
    ends = steady_ms() + wait_ms
    try:
        nodes = connection.nodes()
        written = {
            node.name: _written(node)
            for node in nodes
            if node.is_primary and len(nodes) > 1
        }
        waiting = [
            _Rewrite(node, is_here(place_of(node, connection.where)), written)
            for node in nodes
        ]
    except EventStoreError as error:
        return LogsRewritten(LogState.PENDING, str(error))
    refused = ""
    while True:
        for one in waiting:
            one.look()
        refused = refused or next(
            (one.why for one in waiting if one.state is LogState.REFUSED), ""
        )
        waiting = [one for one in waiting if one.state is LogState.PENDING]
        if not waiting:
            if refused:
                return LogsRewritten(LogState.REFUSED, refused)
            return LogsRewritten(LogState.DONE)
        if steady_ms() >= ends:
            return LogsRewritten(LogState.PENDING, waiting[0].why)
        pause.wait(_PAUSE_S)


@dataclass(slots=True)
class _Rewrite:
    """The rewrite of one server: `begun` is how many had begun there when it was looked at first.

    `written` is how far primaries had come after the erasure: a replica that is behind that has not erased it yet.
    """

    node: Node
    here: bool
    written: Mapping[str, int]
    state: LogState = LogState.PENDING
    why: str = ""
    run_id: str = ""
    begun: int = field(default=-1)

    def look(self) -> None:
        """See how far it is, and ask for it where nothing stands in the way."""
        try:
            self.state, self.why = self._seen()
        except EventStoreError as error:
            self.state, self.why = (
                LogState.PENDING,
                f"a server does not answer: {error}",
            )

    def _seen(self) -> tuple[LogState, str]:
        info = info_of(self.node.ask(b"INFO"))
        if info.get("aof_enabled", "0") != "1":
            return LogState.DONE, ""
        if info.get("role") == "slave" and not self._has_heard(info):
            return LogState.PENDING, "a replica has not heard of the erasure yet"
        begun = int(info.get("aof_rewrites", 0))
        if (
            info.get("run_id", "") != self.run_id
        ):  # seen first, or started again: then it has read its old files
            self.run_id = info.get("run_id", "")
            self.begun = begun
        is_under_way = (
            info.get("aof_rewrite_in_progress") == "1"
            or info.get("aof_rewrite_scheduled") == "1"
        )
        if is_under_way:
            return (
                LogState.PENDING,
                "a server is still writing its append-only file anew",
            )
        has_succeeded = (
            begun > self.begun and info.get("aof_last_bgrewrite_status") == "ok"
        )
        if has_succeeded:
            old = set(self._old_files()) if self.here else set()
            if old:
                return (
                    LogState.PENDING,
                    f"old files are still there: {', '.join(old)}",
                )
            return (LogState.DONE, "")
        if not writes_well(info):  # one that is asked on a full disk may lose its log
            return (
                LogState.PENDING,
                "a server could not write to its disk; look at that first",
            )
        self.begun = begun  # a rewrite that did not come to its end is no reason to believe in an older one
        return self._asked()

    def _has_heard(self, info: Mapping[str, str]) -> bool:
        primary = f"{info.get('master_host', '')}:{info.get('master_port', '')}"
        return int(info.get("slave_repl_offset", -1)) >= self.written.get(primary, 0)

    def _asked(self) -> tuple[LogState, str]:
        try:
            self.node.ask(b"BGREWRITEAOF")
        except EventStoreError as error:
            will_rewrite = (
                "in progress" in str(error)
                or "scheduled" in str(error)
                or isinstance(error, StoreUnavailable)
            )
            if will_rewrite:
                return (
                    LogState.PENDING,
                    "a server is still writing its append-only file anew",
                )
            if isinstance(error, StoreRefused) or any(
                x in str(error).lower() for x in ("unknown command", "noperm")
            ):
                return (
                    LogState.REFUSED,
                    f"a server may not be asked to write its append-only file anew: {error}",
                )
            return (
                LogState.PENDING,
                f"a server did not write its append-only file anew: {error}",
            )
        return LogState.PENDING, "a server is writing its append-only file anew"

    def _old_files(self) -> Iterator[str]:
        """Return the files that are no part of the log now, if that can be seen; they go a while after a rewrite."""
        settings = _pairs(self.node.ask(b"CONFIG", b"GET", b"*append*")) | _pairs(
            self.node.ask(b"CONFIG", b"GET", b"dir")
        )
        name = settings.get("appendfilename", "")
        folder = Path(settings.get("dir", "")) / settings.get("appenddirname", "")
        try:
            manifest = (folder / f"{name}.manifest").read_text("utf-8", "replace")
            file_names = [
                path.name
                for path in folder.iterdir()
                if path.name.startswith(f"{name}.")
            ]
        except OSError:  # another machine's, or not ours to read
            return
        kept = {
            words[1]
            for line in manifest.splitlines()
            if len(words := line.split()) > 5 and words[5] != "h"
        }
        yield from (
            x for x in file_names if x not in kept and not x.endswith(".manifest")
        )


def _written(primary: Node) -> int:
    return int(
        info_of(primary.ask(b"INFO", b"replication")).get("master_repl_offset", 0)
    )


def _pairs(raw: Any) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in pairs_of(raw)}


def _text(raw: Any) -> str:
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "replace")
    return str(raw)
