"""The program `openagents`: it answers Ctrl-C from its first moment on, so it imports next to nothing before that."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit code says how it ended."""
    try:
        from cli.command import carry_out
        from cli.terminal import guard

        _take_any_character()
        guard()
        code = carry_out(arguments)
    except KeyboardInterrupt:
        print("openagents: interrupted", file=sys.stderr)  # noqa: T201 - click may not be there yet
        code = 130
    sys.exit(code)


def _take_any_character() -> None:
    """Escape what a terminal has no character for: a name in another script is no reason for a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
