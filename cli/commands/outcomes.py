"""Runs that a command lets go on: followed to their end with --wait, or else told when nobody is there to work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli.commands.run import follow_to_end
from cli.failing.interrupts import notice_at_interrupt, notice_of_run
from cli.following import tell_if_nobody_works
from cli.options import Target
from cli.render import answer
from openagents_json.engine import CLOSED_RUN

if TYPE_CHECKING:
    from openagents_json.engine import Engine

THREADS: Final = 4
"""How many threads run the given components in the store of this machine, unless somebody says otherwise."""

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = [
    click.option(
        "--wait",
        is_flag=True,
        help="Follow the run to its end; the exit code tells how it ended.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0),
        help="Seconds to wait; the run goes on after that.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(0, 1000),
        help="Threads that run the components of -c while this waits.  [default: 4, with --url 0]",
    ),
]


def wait_options(command: Command) -> Command:
    """Add the options of a command that lets runs go on; it gives them to a `GoingOn`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class GoingOn:
    """What a command does once it has let a run go on: wait for its end, or say what the run is now."""

    target: Target
    wait: bool
    timeout: float | None
    workers: int | None

    def __post_init__(self) -> None:
        """Refuse options that say how to wait where nobody waits.

        Raises click.UsageError.
        """
        for name in ("timeout", "workers"):
            if getattr(self, name) is not None and not self.wait:
                raise click.UsageError(f"--{name} is for who waits: add --wait")

    @property
    def threads(self) -> int:
        """Return how many threads of this command run components: none unless it waits for what they do."""
        if not self.wait or not self.target.components:
            return 0
        if self.workers is not None:
            return self.workers
        return 0 if self.target.settings.url else THREADS

    def engine(self, *, create: bool = False) -> AbstractContextManager[Engine]:
        """Open the engine. Nobody works here yet: what is asked of a run comes before what it would do by itself."""
        return self.target.engine(create=create)

    def begin_work(self, engine: Engine) -> bool:
        """Begin to run the given components here, where the run is waited for; tells whether anything runs here."""
        settings = self.target.settings
        if self.threads:
            engine.work_here(
                self.threads, lease_ms=settings.lease_ms, leases=settings.leases
            )
        return bool(self.threads)

    def after(self, run: str, act: Callable[[Engine], object]) -> int:
        """Do something to a run, and say what came of it; gives the exit code."""
        with self.engine() as engine:
            # What happened before is not shown again.
            seen = engine.state(run).version if self.wait else 0
            act(engine)
            return self.tell(engine, run, after=seen)

    def tell(self, engine: Engine, run: str, *, after: int = 0) -> int:
        """Follow a run from a version on to its end, or say what its status is now; gives the exit code."""
        if self.wait:
            with self.at_work(engine, run) as works:
                return follow_to_end(
                    self.target,
                    engine,
                    run,
                    after=after,
                    timeout=self.timeout,
                    works=works,
                )
        status = engine.state(run).status
        tell_status(self.target, run, status)
        self.tell_if_nobody_works(engine, run, status)
        return 0

    @contextmanager
    def at_work(self, engine: Engine, run: str) -> Iterator[bool]:
        """Work while a run is waited for; Ctrl-C says how to go on with it. Gives whether anything runs here."""

        def notice() -> list[str]:
            return notice_of_run(self.target, run, works=bool(self.threads))

        # Around the beginning of the work too: its first step may be there before anybody follows the run.
        with notice_at_interrupt(notice):
            yield self.begin_work(engine)

    def tell_if_nobody_works(self, engine: Engine, run: str, status: str) -> None:
        """Say so when a run could go on and nobody is there to work."""
        is_at_rest = status == "paused" or status in CLOSED_RUN
        if not is_at_rest and not engine.waits_for_signal(run):
            tell_if_nobody_works(engine, run, self.target.worker())


def tell_status(target: Target, run: str, status: str) -> None:
    """Say what the status of a run is now."""
    answer({"id": run, "status": status}, f"{run} {status}", as_json=target.as_json)
