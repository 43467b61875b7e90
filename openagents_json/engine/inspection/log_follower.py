"""Reads on in the log of a whole store: what happens to its runs from now on."""

from __future__ import annotations

from typing import Final

from eventstore.errors import LogTruncated
from eventstore.redis.streams import RedisStreamStore
from openagents_json.engine.answers.runs import HistoryEvent
from openagents_json.engine.inspection.values import history_event
from openagents_json.engine.wiring.client import Core

PAGE: Final = 500


class LogFollower:
    """Gives the events of all runs that are written after it was made; for one thread."""

    def __init__(self, core: Core) -> None:
        self._payloads = core.sessions.payloads
        self._log = RedisStreamStore(core.connection, core.store.keys)
        self._cursor = self._end()

    def next(self, block_ms: int) -> list[tuple[str, HistoryEvent]]:
        """Return the next events, each with its run, waiting up to `block_ms` for the first.

        A log that has lost its tail, as in a failover, is read on from its end. Raises StoreUnavailable.
        """
        try:
            recorded = self._log.tail(after=self._cursor, block_ms=block_ms, limit=PAGE)
        except LogTruncated:
            self._cursor = self._end()
            return []
        for item in recorded:
            self._cursor[item.position.partition] = item.position.n
        shown = self._payloads.shown(recorded)
        return [(item.stream, history_event(item)) for item in shown]

    def _end(self) -> dict[int, int]:
        partitions = range(self._log.keys.partitions)
        return {partition: self._log.head(partition) for partition in partitions}
