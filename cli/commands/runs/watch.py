"""Follow a run: as it goes on, and what its components show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cli.commands.interrupts import notice_at_interrupt, notice_of_watch
from cli.commands.run import progress_printer
from cli.following import EXIT, follow
from cli.options import Target, target_options
from cli.render import print_line
from cli.run_ids import RUN
from cli.terminal import give, say

if TYPE_CHECKING:
    from openagents_json.engine import Emitted


@click.command()
@click.argument("run", type=RUN)
@target_options
def watch(target: Target, run: str) -> int:
    """Follow a run until it ends; with --json, a line of JSON for each event.

    Exit code: 0 completed, 1 failed, 3 cancelled.
    """
    show = print_line if target.as_json else progress_printer()
    with (
        target.engine() as engine,
        notice_at_interrupt(lambda: notice_of_watch(target, run)),
    ):
        return EXIT.get(follow(engine, run, show).status, 1)


@click.command()
@click.argument("run", type=RUN)
@target_options
def output(target: Target, run: str) -> None:
    """Follow what the components of a run show while they run, such as progress or tokens, until it ends.

    With --json, a line of JSON for each; otherwise texts of a step are printed one after the other, and all else on
    lines of their own.
    """
    after = "0-0"
    writer = _EmissionWriter()
    write = print_line if target.as_json else writer.write
    with target.engine() as engine:
        closed = False
        while not closed:
            # First the status, then what was shown: what a run shows before its end is not missed.
            closed = engine.state(run).status in EXIT
            block_ms = 0 if closed else 500
            for item in engine.emitted(run, after=after, block_ms=block_ms):
                after = item.id
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
