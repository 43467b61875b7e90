"""Ctrl-C in commands that follow a run: what happens now, how to force it, and how to go on."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cli.options import Target
from cli.terminal import say

FORCE = "Ctrl-C again ends this command at once"


@contextmanager
def notice_at_interrupt(notice: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Say a notice at the first Ctrl-C, and let the second one end the process at once.

    It is put together only then: nothing stands between the start of a run and the block.
    """
    try:
        yield
    except KeyboardInterrupt:
        # First the signal, then the words: a second Ctrl-C while they are written has to count. Dying here loses
        # nothing, as at any kill: leases run out, and whoever works next goes on from the log.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for line in notice():
            say(f"openagents: {line}", err=True)
        raise


def notice_of_watch(target: Target, run: str) -> list[str]:
    """Return what Ctrl-C means to a command that only looks on."""
    return [
        f"no longer following run {run}, which goes on without this command; {FORCE}",
        f"follow it again: openagents runs watch {shlex.quote(run)}{target.place()}",
    ]


def notice_of_run(target: Target, run: str, *, works: bool) -> list[str]:
    """Return what Ctrl-C means to a command that has started a run; `works` says that it runs its steps too."""
    lines = notice_of_watch(target, run)
    if not works:
        return lines
    components = "".join(f" -c {shlex.quote(name)}" for name in target.components)
    worker = "worker" if target.settings.url else "dev"
    return [
        f"stopping: steps that run here may end first; run {run} is kept; {FORCE}",
        f"go on with it: openagents {worker}{components}{target.place()}",
        lines[1],
    ]
