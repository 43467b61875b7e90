"""One statement on one database: its parameters, its transaction, its rows within bounds, and what its errors mean.

Errors say what the driver says, and never the statement or its parameters: those often hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Connection,
    CursorResult,
    TextClause,
    bindparam,
    text,
)
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from openagents_json.components.context import CancelToken
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.databases.engines import begin, engine_of
from openagents_json.components.library.databases.values import as_json, size_of
from openagents_json.components.library.guards import guarded

Given = Mapping[str, Any]

_READS: Final = ("select", "with", "values", "table")
_FIRST_WORD: Final = re.compile(r"[\s(]*([A-Za-z]+)")
_LONGEST_MESSAGE: Final = 300
_AT_A_TIME: Final = 100

_PASSING_SQLSTATES: Final = ("08", "40", "53", "55P03", "57", "58")
"""How the states of SQL begin that may pass: connections, deadlocks, resources, locks, restarts."""

_PASSING_OF_SQLITE: Final = (5, 6, 7, 9, 10, 13, 14)
"""Codes of SQLite that may pass: busy, locked, no memory, interrupted, input and output, full, no file."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a statement may give, and how long it may take."""

    rows: int
    size: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Session:
    """Carries out statements of one step; `what` names it in errors."""

    what: str
    url: str
    bounds: Bounds
    token: CancelToken

    def read(self, sql: str, given: Given) -> dict[str, Any]:
        """Return what a query gives; the database is told to write nothing.

        Raises NonRetryableError, RetryableError and CancelledByEngine.
        """
        self._refuse_other_than(_READS, sql)
        statement = self._statement(sql, given)
        with self._connected(writes=False) as connection:
            streaming = connection.execution_options(stream_results=True)
            return self._rows(streaming.execute(statement, dict(given)))

    def write(self, sql: str, given: Given | Sequence[Given]) -> dict[str, Any]:
        """Carry a statement out, once for each object of parameters, all in one transaction.

        Raises NonRetryableError, RetryableError and CancelledByEngine.
        """
        several = [given] if isinstance(given, Mapping) else list(given)
        if not several:
            return {**_NO_ROWS, "count": 0}
        # All are looked at before the first one is carried out.
        statements = [self._statement(sql, one) for one in several]
        parameters = [dict(one) for one in several]
        with self._connected(writes=True) as connection:
            result = connection.execute(
                statements[0], parameters if len(parameters) > 1 else parameters[0]
            )
            changed = max(0, result.rowcount)
            returned = self._rows(result) if result.returns_rows else _NO_ROWS
            self._commit(connection)
        return {**returned, "count": changed}

    def _commit(self, connection: Connection) -> None:
        """Commit; who gets no answer to that cannot know what has become of it.

        Raises NonRetryableError.
        """
        try:
            connection.commit()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            raise NonRetryableError(
                f"{self.what}: the connection was lost while it committed; look whether it has"
            ) from None

    def _refuse_other_than(self, words: Sequence[str], sql: str) -> None:
        match = _FIRST_WORD.match(sql)
        if match is None or match[1].lower() not in words:
            raise NonRetryableError(
                f"{self.what}: a query begins with SELECT, WITH, VALUES or TABLE; sql.execute takes anything else"
            )

    def _statement(self, sql: str, given: Given) -> TextClause:
        """Return a statement that takes the parameters, and no others.

        Raises NonRetryableError.
        """
        one = sql.rstrip().removesuffix(";")
        if ";" in one:
            raise NonRetryableError(
                f"{self.what}: it takes one statement; give a text that has a ; in it as a parameter"
            )
        statement = text(one)
        names = set(statement.compile().params)
        if names != set(given):
            raise NonRetryableError(
                f"{self.what}: the statement names the parameters {_listed(names)}, and it is given {_listed(given)}"
            )
        lists: list[BindParameter[Any]] = [
            bindparam(name, expanding=True)
            for name, value in given.items()
            if self._is_list(name, value)
        ]
        return statement.bindparams(*lists)

    def _is_list(self, name: str, value: Any) -> bool:
        """Tell whether a parameter stands for several values, as in `IN :names`.

        Raises NonRetryableError.
        """
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, dict | list) for item in items):
            raise NonRetryableError(
                f"{self.what}: the parameter {name!r} has to be a text, a number, a boolean, null, or an array of those"
            )
        return isinstance(value, list)

    @contextmanager
    def _connected(self, *, writes: bool) -> Iterator[Connection]:
        """Give a connection with a transaction for a block; what is not committed there is undone."""
        engine = engine_of(self.what, self.url, writes=writes)
        seconds = self.bounds.seconds
        try:
            with (
                engine.connect() as connection,
                guarded(self.token, seconds, self.what, _stopper(connection)) as guard,
            ):
                try:
                    begin(connection, seconds, writes=writes)
                    yield connection
                finally:
                    guard.end()
                    if guard.reason:
                        # The word to stop may still be on its way: nobody else is to get it.
                        connection.invalidate()
        except PoolTimeout:
            raise RetryableError(f"{self.what}: no connection is free") from None
        except DBAPIError as error:
            raise self._failure(error) from None
        except SQLAlchemyError as error:
            raise NonRetryableError(f"{self.what}: {type(error).__name__}") from None

    def _failure(self, error: DBAPIError) -> Exception:
        told = (str(error.orig).strip().splitlines() or [""])[0][:_LONGEST_MESSAGE]
        message = f"{self.what}: {type(error.orig).__name__}: {told}"
        if _may_pass(error):
            return RetryableError(message)
        return NonRetryableError(message)

    def _rows(self, result: CursorResult[Any]) -> dict[str, Any]:
        """Read rows within the bounds.

        Raises NonRetryableError.
        """
        columns = list(result.keys())
        if len(set(columns)) < len(columns):
            raise NonRetryableError(
                f"{self.what}: two columns have the same name ({_listed(columns)}); rename one of them by AS"
            )
        rows: list[dict[str, Any]] = []
        size = 0
        while piece := result.fetchmany(_AT_A_TIME):
            values = [[as_json(value) for value in row] for row in piece]
            rows += [dict(zip(columns, row, strict=True)) for row in values]
            size += sum(size_of(value) for row in values for value in row)
            self._refuse_too_much(len(rows), size)
        return {"columns": columns, "rows": rows, "count": len(rows)}

    def _refuse_too_much(self, rows: int, size: int) -> None:
        bounds = self.bounds
        if rows > bounds.rows:
            raise NonRetryableError(
                f"{self.what}: it gives more than {bounds.rows} rows (max_rows); ask for fewer by LIMIT"
            )
        if size > bounds.size:
            raise NonRetryableError(
                f"{self.what}: its rows are larger than {bounds.size} bytes (max_bytes)"
            )


_NO_ROWS: Final[Mapping[str, Any]] = {"columns": [], "rows": []}


def _stopper(connection: Connection) -> Callable[[], None]:
    """Return what makes the driver end a statement from another thread; each driver has a word of its own for it."""
    driver = connection.connection.driver_connection
    cancel: Callable[[], None] = getattr(driver, "cancel", _nothing)
    return getattr(driver, "interrupt", cancel)


def _nothing() -> None:
    """Stop nothing: the driver has no way to do it, and its server has a limit of its own."""


def _may_pass(error: DBAPIError) -> bool:
    """Tell whether another attempt may go well."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state).startswith(_PASSING_SQLSTATES)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _PASSING_OF_SQLITE
    return isinstance(error, OperationalError | InterfaceError)


def _listed(names: Any) -> str:
    return ", ".join(sorted(map(str, names))) or "none"
