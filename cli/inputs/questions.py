"""Questions before something is destroyed: --yes answers them beforehand, and where nobody can be asked, it has to."""

from __future__ import annotations

import sys

import click

from cli.terminal import line, say


def refuse_if_nobody_can_answer(whether: str, otherwise: str = "say --yes") -> None:
    """Refuse to go on without a terminal; what to do `otherwise` is said.

    Raises click.UsageError.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"nobody can be asked here whether to {whether}: {otherwise}"
        )


def is_wanted(deed: str, *, yes: bool) -> bool:
    """Ask whether something is to be done that cannot be undone; --yes has answered that already.

    Raises click.UsageError where nobody can be asked.
    """
    if yes:
        return True
    refuse_if_nobody_can_answer(deed)
    return is_confirmed(f"{deed}?")


def is_confirmed(question: str) -> bool:
    """Ask a question; to who says no, it is said that nothing was done."""
    try:
        if click.confirm(line(question), err=True):
            return True
    except click.Abort:  # Ctrl-C, or the end of the input, is an answer too
        say("", err=True)
        say("nothing was done", err=True)
        raise
    say("nothing was done", err=True)
    return False
