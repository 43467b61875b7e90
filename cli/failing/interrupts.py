"""Ctrl-C in commands that take a while: what happens now, how to force it, and how to go on."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import click

from cli.terminal import end_line_of_key, say

FORCE = "Ctrl-C again ends this command at once"


class Place(Protocol):
    """What a command works on, as it is named in commands that go on from there."""

    def place(self) -> str:
        """Return the options that name the store."""

    def worker(self) -> str:
        """Return the command that starts a worker."""


@contextmanager
def notice_at_interrupt(notice: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Say a notice at the first Ctrl-C, and let the second one end the process at once.

    It is put together only then: nothing stands between the start of a run and the block.
    """
    try:
        yield
    except KeyboardInterrupt as interrupt:
        # First the signal, then the words: a second Ctrl-C while they are written has to count. Dying here loses
        # nothing, as at any kill: leases run out, and whoever works next goes on from the log.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        end_line_of_key()
        for line in notice():
            say(f"openagents: {line}", err=True)
        # Not the interrupt itself: of that, whoever is around this would say more.
        raise click.Abort from interrupt


def notice_of_reading() -> list[str]:
    """Return what Ctrl-C means to a command that only looks into a store."""
    return [f"stopping: nothing was changed; {FORCE}"]


def notice_of_changing() -> list[str]:
    """Return what Ctrl-C means to a command that may have done a part of what it is for."""
    return [f"stopping: what is done by now stays so; {FORCE}"]


def notice_of_repeatable() -> list[str]:
    """Return what Ctrl-C means to a command that leaves alone what it has done before."""
    return [*notice_of_changing(), "the same command again goes on with the rest"]


def notice_of_watch(target: Place, run: str, command: str = "watch") -> list[str]:
    """Return what Ctrl-C means to a command that only looks on."""
    return [
        f"no longer following run {run}, which goes on without this command; {FORCE}",
        f"follow it again: openagents runs {command} {shlex.quote(run)}{target.place()}",
    ]


def notice_of_run(target: Place, run: str, *, works: bool) -> list[str]:
    """Return what Ctrl-C means to a command that has started a run; `works` says that it runs its steps too."""
    lines = notice_of_watch(target, run)
    if not works:
        return lines
    return [
        f"stopping: steps that run here may end first; run {run} is kept; {FORCE}",
        f"go on with it: {target.worker()}",
        lines[1],
    ]


def notice_of_many(target: Place, *, works: bool) -> list[str]:
    """Return what Ctrl-C means to a command that waits for many runs; `works` says that it runs their steps too."""
    look = f"see how they stand: openagents runs list{target.place()}"
    if not works:
        return [
            f"no longer waiting; the runs go on without this command; {FORCE}",
            look,
        ]
    return [
        f"stopping: steps that run here may end first; the runs are kept; {FORCE}",
        f"go on with them: {target.worker()}",
        look,
    ]


def notice_of_heal(target: Place, heal: str) -> list[str]:
    """Return what Ctrl-C means to a heal: what is done is on its report, and the rest can be done later."""
    return [
        f"stopping: what is healed stays so, and the report of {heal} is kept; {FORCE}",
        f"go on with it: openagents runs heal --resume {shlex.quote(heal)}{target.place()}",
    ]
