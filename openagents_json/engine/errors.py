"""What can go wrong with starting runs and waiting for them."""

from __future__ import annotations

from executor.coordination.starts import ConcurrencyLimitReached as ConcurrencyLimitReached


class WaitTimeout(TimeoutError):
    """A run did not end within the time that the caller would wait; the run goes on."""

    def __init__(self, run: str, seconds: float, status: str) -> None:
        self.run, self.seconds, self.status = run, seconds, status
        super().__init__(f"run {run} is still {status} after {seconds:g} s; it goes on, wait again or cancel it")


class HealError(RuntimeError):
    """A heal cannot begin or go on."""


class InvalidHeal(HealError):
    """What was asked of a heal makes no sense."""


class SandboxTooWeak(HealError):
    """The sandbox of a backtest had to be strict, and this machine leaves components something (`leaves`)."""

    def __init__(self, heal: str, leaves: tuple[str, ...], said: str) -> None:
        self.heal, self.leaves = heal, leaves
        super().__init__(
            f"--sandbox strict refuses this one: {said}; `openagents runs heal --resume {heal}` goes on without it, "
            f"or with it where the kernel has more"
        )


class HealNotFound(HealError):
    """There is no report of a heal under a name."""

    def __init__(self, heal: str) -> None:
        self.heal = heal
        super().__init__(f"there is no heal {heal!r} in this store; `openagents runs heal --dry-run` prints its id")


class WaveUnfinished(HealError):
    """Runs of a wave have not ended in time; carries `heal`, `wave` and the runs that are `open`."""

    def __init__(self, heal: str, wave: int, open_runs: tuple[str, ...], seconds: float) -> None:
        self.heal, self.wave, self.open = heal, wave, open_runs
        super().__init__(
            f"{len(open_runs)} runs of wave {wave} have not ended within {seconds:g} s ({open_runs[0]} is one): are "
            f"there workers? `openagents runs heal --resume {heal}` goes on"
        )
