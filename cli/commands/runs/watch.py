"""Follow a run: as it goes on, and what its components show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from cli.commands.run import progress_printer
from cli.failing.interrupts import notice_at_interrupt, notice_of_watch
from cli.following import EXIT, follow
from cli.options import Target, changing_options
from cli.render import print_line
from cli.run_ids import RUN
from cli.terminal import give, say

if TYPE_CHECKING:
    from openagents_json.engine import Emitted


@click.command()
@click.argument("run", type=RUN)
@changing_options
def watch(target: Target, run: str) -> int:
    """Follow a run until it ends. With --json, a line of JSON for each event.

    Exit code: 0 completed, 1 failed, 3 cancelled.

    \b
    Example: openagents runs watch RUN
    """
    with (
        target.engine() as engine,
        notice_at_interrupt(lambda: notice_of_watch(target, run)),
    ):
        look_up = partial(engine.foreach_items, run)
        show = print_line if target.as_json else progress_printer(look_up=look_up)
        result = follow(engine, run, show, target=target)
        return EXIT.get(result.status, 1)


@click.command()
@click.argument("run", type=RUN)
@changing_options
def output(target: Target, run: str) -> None:
    """Follow what components show while they run, such as tokens. It goes on until the run ends.

    With --json, a line of JSON for each; otherwise texts of a step are printed one after the other, and all else on
    lines of their own.

    \b
    Example: openagents runs output RUN
    """
    writer = _EmissionWriter()
    write = print_line if target.as_json else writer.write
    with (
        target.engine() as engine,
        notice_at_interrupt(lambda: notice_of_watch(target, run, "output")),
    ):
        for item in engine.handle(run).emissions():
            write(item)
    writer.end()


@dataclass(slots=True)
class _EmissionWriter:
    """Writes what components show: texts of an attempt flow on, and all else stands on a line of its own."""

    writer: tuple[str, int] | None = None
    """Whose text the line is that has not ended yet."""

    def write(self, item: Emitted) -> None:
        """Write one of them."""
        writer = (item.step, item.attempt)
        if not isinstance(item.value, str):
            self.end()
            print_line(item.value)
            return
        if self.writer != writer:
            self.end()
        give(item.value, nl=False)
        self.writer = None if item.value.endswith("\n") else writer

    def end(self) -> None:
        """End the line, if there is one."""
        if self.writer is not None:
            say()
        self.writer = None
