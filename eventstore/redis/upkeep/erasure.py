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
    """An event whose data is replaced; `epoch` is 0 when no ledger has sealed it, else `leaf` counts its leaves."""

    version: int
    data: bytes
    n: int
    epoch: int = 0
    leaf: int = 0
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

    def erase(self, redaction: Redaction) -> Erased:
        """Replace the data of events, in one round trip; the same commit id does it once."""
        keys = self._store.keys
        partition = self._store.keys.partition_of(redaction.run)
        options = {
            "v": redaction.version,
            "lc": redaction.last_commit,
            "ledger": str(redaction.ledger),
            "blobs": list(redaction.blobs),
        }
        args: list[Any] = [
            json.dumps(options),
            redaction.commit_id,
            redaction.actor,
            "",
            redaction.run,
            *redaction.event,
        ]
        for erasure in redaction.erasures:
            args += (
                erasure.version,
                erasure.data,
                erasure.n,
                erasure.epoch or "",
                erasure.leaf,
                erasure.committed,
            )
        names = [
            keys.meta(partition),
            keys.log(partition),
            keys.stream(redaction.run),
            keys.head(redaction.run),
        ]
        names.append(keys.checkpoints(partition))
        return Erased(self._store.call([ScriptCall(self._script, names, args)])[0][0])
