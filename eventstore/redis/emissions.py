"""What components show while they run: a side stream of each run, bounded and soon forgotten, never the log."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Final

from eventstore import codec
from eventstore.errors import EventStoreError
from eventstore.event import Emitted
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.redis.driver.outages import level_of
from eventstore.redis.driver.scripts import (
    Call,
    PlainCall,
    Script,
    ScriptCall,
    load_text,
)

log = logging.getLogger(__name__)

KEEP_MS: Final = 3_600_000
"""How long after its last entry a side stream can be read."""

AT_MOST: Final = 10_000
"""About how many entries a side stream holds."""

PENDING_AT_MOST: Final = 10_000
EVERY_SECONDS: Final = 0.05


class Emissions:
    """Writes side streams from one thread, many entries at a time; what cannot be written is dropped."""

    def __init__(self, connection: Connection, store: RedisClient) -> None:
        self._connection = connection
        self._store = store
        self._script = Script("emit", load_text("emit.lua"))
        self._lock = ForkSafeLock(self._begin)
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing; what a parent has not written yet is left to it, or it would come twice."""
        self._pending: list[tuple[str, str, int, bytes]] = []
        self._thread: threading.Thread | None = None
        self._pause = threading.Event()

    def emit(self, run: str, step: str, attempt: int, value: Any) -> None:
        """Show a JSON value to whoever follows a run.

        Raises NotJson.
        """
        data = codec.encode(codec.normalise(value))
        with self._lock:
            if len(self._pending) >= PENDING_AT_MOST:
                return
            self._pending.append((run, step, attempt, data))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._write, name="openagents-emissions", daemon=True
                )
                self._thread.start()

    def _write(self) -> None:
        """Write until nothing is left; the next emission begins anew."""
        while True:
            with self._lock:
                batch = self._pending
                self._pending = []
                if not batch:
                    self._thread = None
                    return
            try:
                self._store.call(self._calls(batch))
            except EventStoreError as error:
                level = level_of(error)
                count = len(batch)
                log.log(level, "%d partial outputs are not shown: %s", count, error)
            self._pause.wait(EVERY_SECONDS)

    def _calls(self, batch: Sequence[tuple[str, str, int, bytes]]) -> list[Call]:
        keys = self._store.keys
        shown = dict[str, list[Any]]()
        for run, *entry in batch:
            shown.setdefault(run, [AT_MOST, KEEP_MS]).extend(entry)
        return [
            ScriptCall(
                self._script, [keys.output(run), keys.head(run), keys.stream(run)], args
            )
            for run, args in shown.items()
        ]

    def read(self, run: str, after: str = "0-0", block_ms: int = 0) -> list[Emitted]:
        """Return what was shown after an entry; waits up to `block_ms` for the first.

        Raises StoreUnavailable.
        """
        name = self._store.keys.output(run)
        if block_ms <= 0:
            entries = self._store.call(
                [PlainCall((b"XRANGE", name, f"({after}", b"+", b"COUNT", 1000))]
            )[0]
        else:
            reply = self._connection.blocking_call(
                b"XREAD", b"COUNT", 1000, b"BLOCK", block_ms, b"STREAMS", name, after
            )
            if not reply:
                return []
            entries = (
                next(iter(reply.values())) if isinstance(reply, dict) else reply[0][1]
            )
        return [_emitted(entry) for entry in entries]


def _emitted(entry: Any) -> Emitted:
    identity, raw = entry
    fields: dict[bytes, bytes] = (
        dict(zip(raw[::2], raw[1::2], strict=True)) if isinstance(raw, list) else raw
    )
    step = fields[b"s"].decode("utf-8", "surrogatepass")
    return Emitted(
        id=identity.decode(),
        step=step,
        attempt=int(fields[b"a"]),
        value=codec.decode(fields[b"d"]),
    )
