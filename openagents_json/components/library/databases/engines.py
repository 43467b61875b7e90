"""Databases of `sql.query` and `sql.execute`: pooled in each process, and kept from writing where a query reads."""

from __future__ import annotations

import os
import sqlite3
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.operator_names import SQL_WRITABLE

CONNECTIONS: Final = 10
IDLE_SECONDS: Final = 300
CONNECT_SECONDS: Final = 10

_BY_TRANSACTION: Final = ("postgresql", "mysql", "mariadb")
"""Databases whose transactions can be told to write nothing."""

_ALLOWED: Final = (
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
)
_LOOKS: Final = ("table_info", "table_xinfo", "table_list", "index_list", "index_info")
_LOADS_CODE: Final = "load_extension"


def engine_of(what: str, url: str, *, writes: bool) -> Engine:
    """Return the engine of this process; a forked child makes its own, as two processes cannot share a connection.

    Raises NonRetryableError.
    """
    try:
        engine = _engine(os.getpid(), url, writes)
    except ImportError as error:
        raise NonRetryableError(
            f"{what}: its driver {error.name!r} is not installed where the worker runs"
        ) from None
    except (ArgumentError, NoSuchModuleError, ValueError):
        # What it says may quote the URL, and so a password.
        raise NonRetryableError(
            f"{what}: its URL is none that SQLAlchemy knows, such as postgresql+psycopg://user@host/name"
        ) from None
    if not writes and engine.dialect.name not in ("sqlite", *_BY_TRANSACTION):
        raise NonRetryableError(
            f"{what}: a query of {engine.dialect.name} cannot be kept from writing; use sql.execute, for which "
            f"{SQL_WRITABLE} of the worker has to list the connection"
        )
    return engine


@lru_cache(maxsize=32)
def _engine(_process: int, url: str, writes: bool) -> Engine:
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_recycle=IDLE_SECONDS,
        hide_parameters=True,
        **_pool_options(url),
    )
    if engine.dialect.name == "sqlite" and not writes:
        event.listen(engine, "connect", _only_look)
    return engine


def _pool_options(url: str) -> dict[str, Any]:
    """Return how many connections there may be, and how long it may take to make one."""
    options: dict[str, Any] = {"pool_size": CONNECTIONS, "max_overflow": 0}
    if url.startswith("postgresql") and "connect_timeout" not in url:
        options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
    return options


def _only_look(connection: Any, _record: Any) -> None:
    """Let a connection of SQLite read alone, whatever a statement says: also files are not attached."""
    connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(_authorized)


def _authorized(action: int, first: Any, second: Any, *_: Any) -> int:
    if action == sqlite3.SQLITE_FUNCTION:
        is_allowed = second != _LOADS_CODE
    elif action == sqlite3.SQLITE_PRAGMA:
        is_allowed = first in _LOOKS
    else:
        is_allowed = action in _ALLOWED
    if is_allowed:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def begin(connection: Connection, seconds: float, *, writes: bool) -> None:
    """Begin a transaction that the server itself ends in time, and lets write only where it may."""
    dialect = connection.dialect.name
    if not writes and dialect in _BY_TRANSACTION:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
    if dialect == "postgresql":
        # A worker that dies cannot stop its query any more.
        limit = max(1, round(seconds * 1000))
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {limit}")
