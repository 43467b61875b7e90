"""URLs as arguments; from a file where they hold a password, as others on the machine can see what an argument is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from cli.terminal import say


class Url(click.ParamType[str]):
    """A URL, or @FILE for one that stands in a file; @- is the standard input."""

    name = "url"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Read the URL; one that holds a password is taken from an argument still, with a warning."""
        text = str(value)
        if ctx is not None and ctx.resilient_parsing:
            return self._while_it_is_typed(text)
        from openagents_json.engine import has_password

        if text.startswith("@"):
            return self._in_file(text[1:], param, ctx)
        if has_password(text):
            option = param.opts[0] if param is not None else "the URL"
            say(
                f"openagents: all users of this machine can see the password in {option}: write {option} @FILE and "
                "keep the URL in a file, or set the variable for it; a later version refuses this",
                err=True,
            )
        return text

    def _while_it_is_typed(self, text: str) -> str:
        """Return the URL for completion, which reads nothing that was not sent to it, and says nothing."""
        if not text.startswith("@"):
            return text
        try:
            if text == "@-":
                return ""
            return Path(text[1:]).read_text("utf-8").strip()
        except (OSError, UnicodeError):
            return ""

    def _in_file(
        self, name: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        try:
            if name == "-":
                text = sys.stdin.readline()
            else:
                text = Path(name).read_text("utf-8")
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            self.fail(f"the file {name} with the URL cannot be read: {why}", param, ctx)
        if not text.strip():
            self.fail(f"the file {name} holds no URL", param, ctx)
        return text.strip()


def lasting(url: str) -> str:
    """Return a place for runs, if what is written there outlives this command.

    Raises click.UsageError.
    """
    from openagents_json.engine import InvalidRequest
    from openagents_json.engine.archive import files as archive_files

    try:
        return archive_files.lasting(url)
    except InvalidRequest as error:
        raise click.UsageError(str(error)) from error
