"""`sql.query` and `sql.execute` on databases of ours: rows, bounds, what may be written, what errors do not tell."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import (
    CancelledByEngine,
    NonRetryableError,
    RetryableError,
)
from openagents_json.components.library.databases import engines
from openagents_json.components.library.sql import execute, query

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS all_of FROM n"


def attempt(token: CancelToken | None = None) -> Context:
    return Context(
        "r", "s", "w", 1, "key", None, token or CancelToken(), lambda: 0, lambda _: None
    )


CONTEXT = attempt()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE lamps (name TEXT UNIQUE, price NUMERIC, picture BLOB);"
            "INSERT INTO lamps VALUES ('desk', 20.5, x'00ff'), ('floor', 90, NULL), ('wall', 35, NULL)"
        )
    connection.close()
    monkeypatch.setenv("OPENAGENTS_CONNECTION_THE_SHOP", f"sqlite:///{path}")
    engines._engine.cache_clear()
    yield path
    engines._engine.cache_clear()


@pytest.fixture
def writable(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAGENTS_SQL_WRITABLE", "other, the-shop")
    return shop


def names(shop: Path) -> list[str]:
    connection = sqlite3.connect(shop)
    rows = connection.execute("SELECT name FROM lamps ORDER BY name").fetchall()
    connection.close()
    return [name for (name,) in rows]


def test_a_query_gives_its_rows_as_objects(shop: Path) -> None:
    given = query(
        "the-shop",
        "SELECT name, price, picture FROM lamps WHERE price < :most ORDER BY price;",
        CONTEXT,
        parameters={"most": 50},
    )
    assert given == {
        "columns": ["name", "price", "picture"],
        "rows": [
            {"name": "desk", "price": 20.5, "picture": "AP8="},
            {"name": "wall", "price": 35, "picture": None},
        ],
        "count": 2,
    }


def test_a_parameter_is_a_value_and_an_array_is_several(shop: Path) -> None:
    sql = "SELECT name FROM lamps WHERE name IN :names"
    rows = query("the-shop", sql, CONTEXT, {"names": ["desk", "floor", "' OR 1=1"]})
    assert [row["name"] for row in rows["rows"]] == ["desk", "floor"]
    assert query("the-shop", sql, CONTEXT, {"names": []})["rows"] == []


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM lamps",
        "PRAGMA query_only = OFF",
        "ATTACH 'other.db' AS other",
        "SELECT 1; DELETE FROM lamps",
        "WITH one AS (SELECT 1) DELETE FROM lamps",
        "SELECT load_extension('evil')",
        "-- SELECT\nDELETE FROM lamps",
        "SELECT file FROM pragma_database_list",
    ],
)
def test_a_query_changes_nothing_whatever_it_says(writable: Path, sql: str) -> None:
    with pytest.raises(NonRetryableError):
        query("the-shop", sql, CONTEXT)
    assert names(writable) == ["desk", "floor", "wall"]
    assert query("the-shop", "SELECT 1 AS one", CONTEXT)["rows"] == [{"one": 1}]


def test_what_may_be_written_is_said_by_the_worker(shop: Path) -> None:
    with pytest.raises(NonRetryableError, match="OPENAGENTS_SQL_WRITABLE"):
        execute("the-shop", "DELETE FROM lamps", CONTEXT)
    assert names(shop) == ["desk", "floor", "wall"]


def test_a_statement_is_carried_out_for_all_parameters_or_for_none(
    writable: Path,
) -> None:
    sql = "INSERT INTO lamps (name) VALUES (:name)"
    given = execute("the-shop", sql, CONTEXT, [{"name": "a"}, {"name": "b"}])
    assert given == {"count": 2, "columns": [], "rows": []}
    with pytest.raises(NonRetryableError, match="UNIQUE"):
        execute("the-shop", sql, CONTEXT, [{"name": "c"}, {"name": "a"}])
    assert names(writable) == ["a", "b", "desk", "floor", "wall"]
    given = execute(
        "the-shop",
        "UPDATE lamps SET price = 1 WHERE name = :name RETURNING name",
        CONTEXT,
        {"name": "a"},
    )
    assert given["rows"] == [{"name": "a"}]
    assert execute("the-shop", sql, CONTEXT, [])["count"] == 0


@pytest.mark.parametrize(
    ("sql", "parameters", "message"),
    [
        ("SELECT :a", {}, "names the parameters a, and it is given none"),
        ("SELECT 1", {"a": 1}, "names the parameters none, and it is given a"),
        ("SELECT :a", {"a": {}}, "'a' has to be a text"),
        ("SELECT 1 AS a, 2 AS a", {}, "rename one of them"),
        ("SELECT missing", {}, "no such column: missing"),
        ("SELECT", {}, "syntax|incomplete"),
        ("", {}, "begins with SELECT"),
    ],
)
def test_what_cannot_be_asked_fails_at_once(
    shop: Path, sql: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(NonRetryableError, match=message):
        query("the-shop", sql, CONTEXT, parameters)


def test_rows_have_bounds(shop: Path) -> None:
    sql = "SELECT name FROM lamps"
    with pytest.raises(NonRetryableError, match="more than 2 rows"):
        query("the-shop", sql, CONTEXT, max_rows=2)
    with pytest.raises(NonRetryableError, match="larger than 12 bytes"):
        query("the-shop", sql, CONTEXT, max_bytes=12)
    assert query("the-shop", sql, CONTEXT, max_rows=3, max_bytes=13)["count"] == 3
    for wrong in ({"max_rows": 0}, {"max_bytes": 0}, {"timeout_seconds": 0}):
        with pytest.raises(NonRetryableError, match="must be above 0"):
            query("the-shop", sql, CONTEXT, **wrong)  # type: ignore[arg-type]


def test_a_query_that_takes_too_long_is_ended(shop: Path) -> None:
    with pytest.raises(RetryableError, match="timeout_seconds"):
        query("the-shop", ENDLESS, CONTEXT, timeout_seconds=0.05)
    assert query("the-shop", "SELECT 1 AS one", CONTEXT)["rows"] == [{"one": 1}]


def test_a_query_ends_though_it_was_told_to_before_it_began(shop: Path) -> None:
    token = CancelToken()
    token.cancel("the run is cancelled")
    with pytest.raises(CancelledByEngine, match="the run is cancelled"):
        query("the-shop", ENDLESS, attempt(token))


def test_a_query_ends_when_its_attempt_should_stop(shop: Path) -> None:
    token = CancelToken()
    canceller = threading.Timer(0.05, token.cancel, ["the run is cancelled"])
    canceller.start()
    with pytest.raises(CancelledByEngine, match="the run is cancelled"):
        query("the-shop", ENDLESS, attempt(token))
    canceller.join()


def test_a_database_that_is_busy_can_be_asked_again(
    writable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "OPENAGENTS_CONNECTION_THE_SHOP", f"sqlite:///{writable}?timeout=0.01"
    )
    other = sqlite3.connect(writable, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(RetryableError, match="locked"):
        execute("the-shop", "DELETE FROM lamps", CONTEXT)
    other.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "OPENAGENTS_CONNECTION_SECRET says what it is"),
        ("postgres s3cr3t", "is none that SQLAlchemy knows"),
        ("nothing://u:s3cr3t@host/db", "is none that SQLAlchemy knows"),
        ("oracle://u:s3cr3t@host/db", "driver .* is not installed"),
    ],
)
def test_a_connection_that_cannot_be_used_does_not_show_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("OPENAGENTS_CONNECTION_SECRET", url)
    with pytest.raises(NonRetryableError, match=message) as raised:
        query("secret", "SELECT 1", CONTEXT)
    assert "s3cr3t" not in str(raised.value)
    with pytest.raises(NonRetryableError, match="no name of a connection"):
        query("../secret", "SELECT 1", CONTEXT)


def test_an_error_does_not_tell_the_parameters(writable: Path) -> None:
    sql = "INSERT INTO lamps (name) VALUES (:name)"
    execute("the-shop", sql, CONTEXT, {"name": "s3cr3t"})
    with pytest.raises(NonRetryableError) as raised:
        execute("the-shop", sql, CONTEXT, {"name": "s3cr3t"})
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__cause__ is None
