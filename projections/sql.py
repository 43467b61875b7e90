"""Projections into a database: what an event changes there, and the place in the log, in the same transaction.

Needs SQLAlchemy (`pip install openagents-json[sql]`); PostgreSQL and SQLite are tested.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import sqlalchemy as sa

from eventstore.errors import LogTruncated
from eventstore.event import Recorded
from eventstore.store import Cursor, ReadPosition
from projections.errors import InvalidProjection, ProjectionFailed
from projections.projection import NAME

log = logging.getLogger(__name__)

AGAIN_MS: Final = 10_000
"""How soon an event that a projection raised on is tried again."""

Write = Callable[[sa.Connection, Recorded], None]
"""(connection, event): changes rows; it must not commit, and must depend on the event and the rows alone."""


@dataclass(frozen=True, slots=True)
class SqlProjection:
    """A read model in a database; another `version` begins anew, and has to have tables of its own."""

    name: str
    write: Write
    version: int = 1
    types: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or self.version < 1:
            rule = "the name must be a letter and up to 62 letters (a-z), digits, - and _, the version 1 or more"
            raise InvalidProjection(
                f"projection {self.name!r}, version {self.version}: {rule}"
            )

    @property
    def id(self) -> str:
        """Return name and version."""
        return f"{self.name}.{self.version}"


def sql_projection(
    name: str, *, version: int = 1, types: Iterable[str] | None = None
) -> Callable[[Write], SqlProjection]:
    """Make a projection into a database of a function (connection, event).

    Raises InvalidProjection.
    """
    return lambda write: SqlProjection(
        name, write, version, None if types is None else frozenset(types)
    )


class Log(Protocol):
    """What is read of the event store."""

    def read_all(
        self,
        *,
        after: Cursor | None = None,
        limit: int | None = None,
        partition: int | None = None,
    ) -> list[Recorded]:
        """Read the log of a partition behind a place; raises LogTruncated when the log has lost that place."""
        ...


def checkpoints(metadata: sa.MetaData) -> sa.Table:
    """Describe the table of checkpoints: how far each projection has come in each partition, or why it stands still."""
    return sa.Table(
        "openagents_checkpoints",
        metadata,
        sa.Column("projection", sa.String(100), primary_key=True),
        sa.Column("log_partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("time_ms", sa.BigInteger, nullable=False),
        sa.Column("trouble", sa.Text),
    )


class SqlRunner:
    """Keeps tables up to date, as far as it is asked to; any number of processes may do so at once."""

    def __init__(
        self,
        log: Log,
        database: sa.Engine,
        projections: Iterable[SqlProjection],
        partitions: int,
        steady_ms: Callable[[], float],
        *,
        batch: int = 500,
    ) -> None:
        self._log = log
        self._database = database
        self._projections = list(projections)
        self._partitions = partitions
        self._batch = batch
        self._steady_ms = steady_ms
        self._table = checkpoints(sa.MetaData())
        self._stopped: dict[tuple[str, int], float] = {}
        self._table.metadata.create_all(database, checkfirst=True)

    def advance(self, partitions: Sequence[int] | None = None) -> int:
        """Fold at most a batch of events of each partition into each projection; gives how many were folded."""
        if partitions is None:
            partitions = range(self._partitions)
        return sum(
            self._advance(projection, partition)
            for projection in self._projections
            for partition in partitions
        )

    def catch_up(self, partitions: Sequence[int] | None = None) -> None:
        """Fold until nothing is left, but for projections that raise."""
        while self.advance(partitions):
            pass

    def trouble(self) -> dict[tuple[str, int], str]:
        """Return why projections stand still, by (id, partition)."""
        table = self._table.c
        with self._database.connect() as connection:
            rows = connection.execute(
                sa.select(table.projection, table.log_partition, table.trouble).where(
                    table.trouble.is_not(None)
                )
            )
            return {(name, partition): trouble for name, partition, trouble in rows}

    def _advance(self, projection: SqlProjection, partition: int) -> int:
        if self._steady_ms() < self._stopped.get((projection.id, partition), 0.0):
            return 0
        position, time_ms = self._checkpoint(projection, partition)
        # With the time: a position alone does not tell whether the log has lost its tail and grown again.
        after = ReadPosition(position, time_ms) if position else 0
        try:
            events = self._log.read_all(
                after={partition: after}, limit=self._batch, partition=partition
            )
        except LogTruncated as error:
            trouble = f"{error}; the tables are ahead of the log: empty them and remove the checkpoint, or restore them"
            self._stop(projection, partition, trouble)
            return 0
        if not events:
            return 0
        try:
            return self._fold(projection, partition, position, events)
        except ProjectionFailed as error:
            bound = error.event.position.n
            before = [event for event in events if event.position.n < bound]
            # First what came before the event, then the note: tables are not behind what the note says of them.
            count = self._fold(projection, partition, position, before) if before else 0
            self._stop(projection, partition, str(error), before=bound)
            return count

    def _fold(
        self,
        projection: SqlProjection,
        partition: int,
        position: int,
        events: Sequence[Recorded],
    ) -> int:
        """Change rows and checkpoint in one transaction; gives 0 when another process was faster.

        The checkpoint is changed first: that locks its row, or all of an SQLite database, until the end. Where a
        constraint is broken that is checked at the end, half of the events are folded, down to the one that breaks it.
        """
        try:
            return self._commit(projection, partition, position, events)
        except sa.exc.IntegrityError as error:
            if len(events) == 1:
                raise ProjectionFailed(projection.id, events[0], error) from error
            half = events[: len(events) // 2]
            return self._fold(projection, partition, position, half)

    def _commit(
        self,
        projection: SqlProjection,
        partition: int,
        position: int,
        events: Sequence[Recorded],
    ) -> int:
        last = events[-1]
        table = self._table
        claim = (
            sa.update(table)
            .where(
                table.c.projection == projection.id, table.c.log_partition == partition
            )
            .where(table.c.position == position)
            .values(position=last.position.n, time_ms=last.time_ms, trouble=None)
        )
        with self._database.begin() as connection:
            if connection.execute(claim).rowcount != 1:
                return 0
            for event in events:
                if projection.types is None or event.type in projection.types:
                    self._write(projection, connection, event)
        return len(events)

    def _write(
        self, projection: SqlProjection, connection: sa.Connection, event: Recorded
    ) -> None:
        try:
            projection.write(connection, event)
        except Exception as error:
            # Whatever a user's function raises stops that projection alone.
            raise ProjectionFailed(projection.id, event, error) from error

    def _checkpoint(self, projection: SqlProjection, partition: int) -> tuple[int, int]:
        key = {"projection": projection.id, "log_partition": partition}
        table = self._table
        query = sa.select(table.c.position, table.c.time_ms).filter_by(**key)
        with self._database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is not None:
            return int(row[0]), int(row[1])
        try:
            with self._database.begin() as connection:
                connection.execute(
                    sa.insert(table).values(**key, position=0, time_ms=0)
                )
        except sa.exc.IntegrityError:
            # Another process has just done so.
            pass
        return 0, 0

    def _stop(
        self,
        projection: SqlProjection,
        partition: int,
        trouble: str,
        before: int | None = None,
    ) -> None:
        """Say why tables stand still, unless another process has brought them beyond that."""
        log.error("%s", trouble)
        self._stopped[projection.id, partition] = self._steady_ms() + AGAIN_MS
        table = self._table
        is_before = sa.true() if before is None else table.c.position < before
        with self._database.begin() as connection:
            connection.execute(
                sa.update(table)
                .where(
                    table.c.projection == projection.id,
                    table.c.log_partition == partition,
                )
                .where(is_before)
                .values(trouble=trouble)
            )
