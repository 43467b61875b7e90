"""The program `openagents`: it answers Ctrl-C from its first moment on, so it imports next to nothing before that."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit code says how it ended."""
    _open_what_is_closed()
    try:
        from cli.command import carry_out
        from cli.terminal import guard

        take_any_character()
        guard()
        code = carry_out(arguments)
    except KeyboardInterrupt:
        print("openagents: interrupted", file=sys.stderr)  # noqa: T201 - click may not be there yet
        code = 130
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Open the null device for each standard stream that is closed: else the next file or socket would become it."""
    for name, mode, flags in (
        ("stdin", "r", os.O_RDONLY),
        ("stdout", "w", os.O_WRONLY),
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


def take_any_character() -> None:
    """Escape what a terminal has no character for: a name in another script is no reason for a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
