"""How the command fails: one line on stderr that says what to do, never a traceback; with `--json`, it is JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from cli.terminal import json_text, say, say_lines
from openagents_json.errors import OpenAgentsError

DEFECT = "this is a defect of openagents-json"
REPORT_IT = "please report it with the lines above"


def wants_json(arguments: Sequence[str] | None) -> bool:
    """Say whether a command was told to print JSON, before anything has understood its arguments."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = given[: given.index("--")] if "--" in given else given
    return "--json" in options


def tell(error: Exception, *, as_json: bool = False) -> NoReturn:
    """Say what an error means and end as it says; one that is none of ours is a defect, shown with its place."""
    from openagents_json.engine import traceback_of

    if isinstance(error, OpenAgentsError):
        from cli.failing.advice import advice  # for who fails alone

        summary = str(error).removesuffix(f"; {error.remedy}")
        fail(
            summary,
            error.exit_status,
            kind=error.code,
            remedy=advice(error),
            as_json=as_json,
        )
    say_lines(traceback_of(error).rstrip("\n"), err=True)
    fail(DEFECT, 1, kind="defect", remedy=REPORT_IT, as_json=as_json)


def fail(
    message: str,
    status: int,
    *,
    kind: str,
    remedy: str = "",
    as_json: bool = False,
) -> NoReturn:
    """Say what went wrong, then what to do about it, and end."""
    from openagents_json.engine import masked

    remedy = masked(remedy)
    message = masked(message)
    if remedy:
        message = f"{message}; {remedy}"
    with suppress(OSError):  # when nobody can hear it, the status says it still
        if as_json:
            _say_json(message, status, kind, remedy)
        else:
            say(f"openagents: {message}", err=True)
    sys.exit(status)


def _say_json(message: str, status: int, kind: str, remedy: str) -> None:
    error = {
        "code": kind,
        "message": message,
        "remedy": remedy,
        "exit_status": status,
    }
    # Its ends of lines are escaped already: it is one line, whatever the message holds.
    say(json_text(json.dumps(error, ensure_ascii=False, sort_keys=True)), err=True)
