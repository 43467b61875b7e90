"""Erasing payloads of a run, with the record of it, in one atomic step: see lua/redact.lua."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import Script, ScriptCall, load_text


class Erased(IntEnum):
    """How it ended; the negative ones wrote nothing."""

    DONE = 1
    DUPLICATE = 2
    MOVED = -1
    UNKNOWN = -4
    OPEN = -5
    HELD = -9
    LEDGER_MOVED = -11


@dataclass(frozen=True, slots=True)
class Erasure:
    """An event whose data is replaced; `epoch` is 0 when the ledger has not sealed it, else `place` is its leaf's."""

    version: int
    data: bytes
    n: int
    epoch: int = 0
    place: int = 0
    committed: bytes = b""


@dataclass(frozen=True, slots=True)
class Redaction:
    """Which events of a run are replaced, as it was read, and the event that says so."""

    run: str
    version: int
    last_commit: str
    ledger: int
    erasures: Sequence[Erasure]
    blobs: Sequence[str]
    commit_id: str
    actor: str
    event: tuple[str, bytes]


class Eraser:
    """Carries out redactions."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._script = Script(
            "redact", load_text("runs_common.lua") + load_text("redact.lua")
        )

    def erase(self, wanted: Redaction) -> Erased:
        """Replace the data of events, in one round trip; the same commit id does it once."""
        keys, partition = self._store.keys, self._store.keys.partition_of(wanted.run)
        options = {
            "v": wanted.version,
            "lc": wanted.last_commit,
            "ledger": str(wanted.ledger),
            "blobs": list(wanted.blobs),
        }
        args: list[Any] = [
            json.dumps(options),
            wanted.commit_id,
            wanted.actor,
            "",
            wanted.run,
            *wanted.event,
        ]
        for x in wanted.erasures:
            args += (x.version, x.data, x.n, x.epoch or "", x.place, x.committed)
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(wanted.run),
            keys.head(wanted.run),
        ]
        names.append(keys.checkpoints(partition))
        return Erased(self._store.call([ScriptCall(self._script, names, args)])[0][0])
