"""What a worker's operator has a name for: connections and programs. Documents say the name, and see nothing behind it.

Addresses and passwords stand in the worker's environment alone; they are on no log, as no document holds them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from openagents_json.components.errors import NonRetryableError

CONNECTION: Final = "OPENAGENTS_CONNECTION_"
PROGRAM: Final = "OPENAGENTS_PROGRAM_"
SQL_WRITABLE: Final = "OPENAGENTS_SQL_WRITABLE"
MAIL_RECIPIENTS: Final = "OPENAGENTS_EMAIL_RECIPIENTS"
PROCESS_VARIABLES: Final = "OPENAGENTS_PROCESS_VARIABLES"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_HARMLESS: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
"""Variables that every program gets, as the worker has them."""

Environment = Mapping[str, str]


def connection_url(name: str, environment: Environment | None = None) -> str:
    """Return the URL of a named connection.

    Raises NonRetryableError.
    """
    return _named(CONNECTION, "connection", name, environment)


def program(name: str, environment: Environment | None = None) -> str:
    """Return the command line of a named program, to which a document adds arguments.

    Raises NonRetryableError.
    """
    return _named(PROGRAM, "program", name, environment)


def base_url(name: str, environment: Environment | None = None) -> str:
    """Return where a named API is for this worker, empty when its operator does not say."""
    return _of(environment).get(f"{CONNECTION}{_variable(name)}", "")


def is_writable(name: str, environment: Environment | None = None) -> bool:
    """Tell whether a connection may be written to."""
    allowed = map(_variable, _words(SQL_WRITABLE, environment))
    return _variable(name) in set(allowed)


def is_recipient(address: str, environment: Environment | None = None) -> bool:
    """Tell whether mail may be sent to an address; without a list, it may be to any."""
    listed = _of(environment).get(MAIL_RECIPIENTS, "")
    if not listed.strip():
        return True
    patterns = _words(MAIL_RECIPIENTS, environment)
    return any(fnmatchcase(address.lower(), pattern.lower()) for pattern in patterns)


def process_environment(
    given: Mapping[str, str], environment: Environment | None = None
) -> dict[str, str]:
    """Return all that a program sees of the environment: what is harmless, and what a document may give it.

    A variable can make a program run something else (`LD_PRELOAD`, `PYTHONPATH`), so the operator lists those that
    documents may set. Raises NonRetryableError.
    """
    source = _of(environment)
    allowed = set(_words(PROCESS_VARIABLES, environment))
    for name in given:
        if name not in allowed:
            raise NonRetryableError(
                f"a document may not set the variable {name!r} of a program; {PROCESS_VARIABLES} of the worker lists "
                "those that it may set"
            )
    inherited = {name: source[name] for name in _HARMLESS if name in source}
    return {**inherited, **given}


def _named(prefix: str, kind: str, name: str, environment: Environment | None) -> str:
    variable = f"{prefix}{_variable(name)}"
    value = _of(environment).get(variable, "").strip()
    if not value:
        raise NonRetryableError(
            f"this worker has no {kind} {name!r}; {variable} says what it is"
        )
    return value


def _variable(name: str) -> str:
    """Return a name as it stands in a variable.

    Raises NonRetryableError.
    """
    if not _NAME.fullmatch(name):
        raise NonRetryableError(
            f"{name!r} is no name of a connection or a program: it has letters, digits, - and _"
        )
    return name.upper().replace("-", "_")


def _words(variable: str, environment: Environment | None) -> list[str]:
    listed = _of(environment).get(variable, "")
    return [word.strip() for word in listed.split(",") if word.strip()]


def _of(environment: Environment | None) -> Environment:
    if environment is None:
        return os.environ
    return environment
