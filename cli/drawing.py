"""Drawing with colours: the escapes of the drawing reach the terminal, those of data do not."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.segment import Segment

from cli.terminal import ROOM, SafeStream, lines
from openagents_json.errors import file_errors


class SafeConsole(Console):
    """A console that escapes whatever cannot be printed in the texts that it draws."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """Return the pieces of a drawing."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(lines(piece.text), piece.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """Draw."""
        with file_errors("the drawing", ROOM):
            super().print(*objects, **options)


def console(*, error: bool = False) -> Console:
    """Return a terminal to draw on; only what the drawing itself needs goes to it unescaped.

    What is no terminal gets no colours, whatever the environment says; NO_COLOR takes them from a terminal too.
    """
    stream = sys.stderr if error else sys.stdout
    file = stream.unguarded if isinstance(stream, SafeStream) else stream
    is_terminal = file.isatty()
    plain = SafeConsole(file=file, highlight=False, force_terminal=is_terminal)
    if not plain.no_color:
        return plain
    # Without colours there are no other styles either: what is bold tells nothing that the words do not.
    return SafeConsole(
        file=file, highlight=False, force_terminal=is_terminal, color_system=None
    )
