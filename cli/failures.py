"""How the command fails: one line on stderr that says what to do, never a traceback."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import NoReturn

from cli.terminal import say, say_lines
from openagents_json.errors import OpenAgentsError


def tell(error: Exception) -> NoReturn:
    """Say what an error means and end as it says; one that is none of ours is a defect, shown with its place."""
    from openagents_json.engine import traceback_of

    if isinstance(error, OpenAgentsError):
        fail(str(error), error.exit_status)
    say_lines(traceback_of(error).rstrip("\n"), err=True)
    fail(
        "this is a defect of openagents-json; please report it with the lines above", 1
    )


def fail(message: str, code: int) -> NoReturn:
    """Say what went wrong and end."""
    from openagents_json.engine import masked

    with suppress(OSError):  # when nobody can hear it, the status says it still
        say(f"openagents: {masked(message)}", err=True)
    sys.exit(code)
