"""What all stores of one Redis or Valkey have in common: names of keys, calls in one pipeline, and the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from eventstore.codec import parse_entry
from eventstore.errors import StoreUnavailable
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.retries import retrying
from eventstore.redis.driver.scripts import Call, PlainCall, Scripts


class RedisClient:
    """Sends the calls of stores; safe for threads."""

    def __init__(
        self,
        connection: Connection,
        keyspace: Keyspace,
        *,
        scripts: Scripts | None = None,
    ) -> None:
        self.keys = keyspace
        self.connection = connection
        self.is_cluster = connection.is_cluster
        self._scripts = scripts or Scripts(connection)

    @property
    def partitions(self) -> int:
        """Return how many partitions there are."""
        return self.keys.partitions

    def partition_of(self, run: str) -> int:
        """Return the partition of a run."""
        return self.keys.partition_of(run)

    def call(self, calls: Sequence[Call], seconds: float = 10.0) -> list[Any]:
        """Send calls in one pipeline and give their replies; the first one that failed is raised.

        The pipeline is sent again, for some seconds, after a lost connection, or when a server says that it cannot
        answer now: every call here is safe to repeat.
        """
        replies = retrying(lambda: self._answers(calls), seconds)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _answers(self, calls: Sequence[Call]) -> list[Any]:
        replies = self._scripts.run_many(calls)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies

    def answers(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls in one pipeline and return their replies, errors among them.

        Raises StoreUnavailable when nobody knows what was carried out.
        """
        return retrying(lambda: self._scripts.run_many(calls))

    def from_those_that_answer(self, calls: Sequence[Call]) -> list[Any]:
        """Return the replies to calls of several partitions, None for those whose node is away or whose slot is moved.

        Raises EventStoreError when none answers.
        """
        replies = self.answers(calls)
        errors = [reply for reply in replies if isinstance(reply, Exception)]
        if errors and (
            len(errors) == len(replies)
            or not all(isinstance(e, StoreUnavailable) for e in errors)
        ):
            raise errors[0]
        return [None if isinstance(reply, Exception) else reply for reply in replies]

    def now_ms(self) -> int:
        """Return the server's time, the only one that is compared with what the store holds."""
        seconds, micros = self.call([PlainCall((b"TIME",))])[0]
        return int(seconds) * 1000 + int(micros) // 1000

    def scan(self, pattern: bytes) -> list[bytes]:
        """Find keys; walks the whole keyspace, so for diagnosis only."""
        return retrying(lambda: self.connection.scan(pattern))

    def recorded(self, run: str, entries: Iterable[Any]) -> tuple[Recorded, ...]:
        """Read the entries of a run's stream."""
        partition = self.keys.partition_of(run)
        return tuple(parse_entry(run, partition, entry) for entry in entries)
