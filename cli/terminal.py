"""All that this program prints goes through here: no data moves a cursor, hides a line or turns text around.

Control characters (C0, DEL, C1), those of bidirectional text and others that cannot be seen are shown as escapes: in
lines for people always, in JSON as JSON has them, so that the value is the same. Data as such, such as what components
show, is left alone in a pipe or a file and escaped on a terminal.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import IO, Any, Final

import click

from openagents_json.errors import file_errors

ROOM: Final = "send it where there is room for it"

_HARMLESS: Final = frozenset("\u00a0\u200c\u200d")
"""What cannot be printed and belongs to words and pictures: a space that does not break, joiners."""

_PERHAPS: Final = re.compile(r"[^\x20-\x7e]")
_PERHAPS_IN_LINES: Final = re.compile(r"[^\x20-\x7e\n\t]")


def line(text: str) -> str:
    """Return a text as one line: what cannot be printed is escaped, ends of lines too."""
    if text.isprintable():
        return text
    return _PERHAPS.sub(_escaped, text)


def lines(text: str) -> str:
    """Return a text with its ends of lines and tabs; all else that cannot be printed is escaped."""
    return _PERHAPS_IN_LINES.sub(_escaped, text)


def json_text(text: str) -> str:
    """Return JSON whose texts have no character that cannot be printed; it means the same."""
    return _PERHAPS_IN_LINES.sub(_escaped_as_json, text)


def _escaped(match: re.Match[str]) -> str:
    return _shown(match[0])


def _escaped_as_json(match: re.Match[str]) -> str:
    return _shown_in_json(match[0])


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    if character.isprintable() or character in _HARMLESS:
        return character
    return repr(character)[1:-1]


@lru_cache(maxsize=4096)
def _shown_in_json(character: str) -> str:
    if character.isprintable() or character in _HARMLESS:
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


_FLAGS: Final = "openagents.flags"


def remember_flag(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Keep what `--quiet` or `--wide` says for all that this command prints."""
    if value:
        flags: set[str] = ctx.meta.setdefault(_FLAGS, set())
        flags.add(str(param.name))


def is_quiet() -> bool:
    """Tell whether this command says nothing beside its result, but for what went wrong."""
    return _is_set("quiet")


def is_wide() -> bool:
    """Tell whether this command shows all in full, however long the lines."""
    return _is_set("wide")


def _is_set(name: str) -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and name in context.meta.get(_FLAGS, ())


def note(text: object) -> None:
    """Print a line beside the result: progress, or a hint; nothing with `--quiet`."""
    if not is_quiet():
        say(text, err=True)


def say(text: object = "", *, err: bool = False) -> None:
    """Print a line for people."""
    _echo(line(str(text)), err=err)


def end_line_of_key() -> None:
    """Begin a line anew where a terminal has shown a key, such as ^C, on this one."""
    if sys.stderr.isatty():
        _echo("", err=True)


def say_lines(text: str, *, err: bool = False) -> None:
    """Print lines that belong together, such as a traceback."""
    _echo(lines(text), err=err)


def say_json(text: str, *, nl: bool = True) -> None:
    """Print JSON, on one line or several."""
    _echo(json_text(text), nl=nl)


def give(text: str, *, nl: bool = True) -> None:
    """Print data: as it is, unless a person would look at it."""
    shown = lines(text) if sys.stdout.isatty() else text
    # With colours, as click would take those that are in the data out of it.
    _echo(shown, nl=nl, color=True)


def _echo(text: str, *, err: bool = False, **options: Any) -> None:
    with file_errors("standard error" if err else "standard output", ROOM):
        click.echo(text, err=err, **options)


@contextmanager
def bytes_out(what: str) -> Iterator[IO[bytes]]:
    """Open the standard output for what is no text.

    Raises click.UsageError where a person would look at it.
    """
    refuse_bytes(what)
    with file_errors("standard output", ROOM):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()


def read_input() -> bytes:
    """Read what comes from the standard input."""
    with file_errors("standard input", "give a file, or send it through a pipe"):
        return sys.stdin.buffer.read()


def refuse_bytes(what: str) -> None:
    """Refuse to print what is no text on a terminal.

    Raises click.UsageError.
    """
    if sys.stdout.isatty():
        raise click.UsageError(f"{what} is no text: send it into a file, or name one")


class SafeStream:
    """A terminal that escapes what was not written by this program on purpose: log lines, warnings, tracebacks."""

    def __init__(self, stream: Any) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        """Write a text."""
        self.unguarded.write(lines(text))
        return len(text)

    def writelines(self, texts: list[str]) -> None:
        """Write texts."""
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


def guard() -> None:
    """Let nothing that is printed from now on move the cursor of a terminal, whoever prints it."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, SafeStream):
            continue
        if stream.isatty():
            setattr(sys, name, SafeStream(stream))
    logging.setLogRecordFactory(_Record)


class _Record(logging.LogRecord):
    """A message of a log, whose data was perhaps made up to look like something else: like the next message."""

    def getMessage(self) -> str:  # noqa: N802 - as the logging package calls it
        return lines(super().getMessage()).replace("\n", "\n  | ")
