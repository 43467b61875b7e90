"""`sql.query` and `sql.execute`: one statement on a database that the worker's operator has named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openagents_json.components.context import Context
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.operator_names import (
    SQL_WRITABLE,
    connection_url,
    is_writable,
)

if TYPE_CHECKING:
    from openagents_json.components.library.databases.session import Session


@tool("sql.query", effect="idempotent", version="1.0.0", tags=("sql",))
def query(
    connection: str,
    sql: str,
    context: Context,
    parameters: dict[str, Any] | None = None,
    max_rows: int = 1000,
    max_bytes: int = 1_000_000,
    timeout_seconds: float = 30.0,
) -> dict[str, Any]:
    """Read from a named database; gives the rows as objects, the names of the columns, and how many rows there are."""
    session = _session(
        "sql.query", connection, context, max_rows, max_bytes, timeout_seconds
    )
    return session.read(sql, parameters or {})


@tool("sql.execute", effect="at_most_once", version="1.0.0", tags=("sql",))
def execute(
    connection: str,
    sql: str,
    context: Context,
    parameters: dict[str, Any] | list[dict[str, Any]] | None = None,
    max_rows: int = 1000,
    max_bytes: int = 1_000_000,
    timeout_seconds: float = 30.0,
) -> dict[str, Any]:
    """Change a named database by one statement, in a transaction; gives how many rows changed, and what it returns."""
    if not is_writable(connection):
        raise NonRetryableError(
            f"sql.execute may not change {connection!r}; {SQL_WRITABLE} of the worker lists the connections that it may"
        )
    session = _session(
        "sql.execute", connection, context, max_rows, max_bytes, timeout_seconds
    )
    return session.write(sql, {} if parameters is None else parameters)


def _session(
    component: str,
    name: str,
    context: Context,
    max_rows: int,
    max_bytes: int,
    seconds: float,
) -> Session:
    """Return what the statement is carried out with.

    Raises NonRetryableError.
    """
    is_row_limit = 0 < max_rows <= 100_000
    is_size_limit = 0 < max_bytes <= 100_000_000
    is_time_limit = 0 < seconds <= 3600
    if not (is_row_limit and is_size_limit and is_time_limit):
        raise NonRetryableError(
            "max_rows must be above 0 and at most 100000, max_bytes at most 100000000, timeout_seconds at most 3600"
        )
    url = connection_url(name)
    try:
        from openagents_json.components.library.databases.session import Bounds, Session
    except ImportError as error:
        raise NonRetryableError(
            f"{component} needs the package sqlalchemy: pip install 'openagents-json[sql]'"
        ) from error
    bounds = Bounds(max_rows, max_bytes, seconds)
    return Session(f"{component} on {name!r}", url, bounds, context.token)
