"""Follow a run until it has ended, and say so when nobody is there to do its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from cli.terminal import say

if TYPE_CHECKING:
    from openagents_json.engine import Engine, HistoryEvent, Result

EXIT: Final[Mapping[str, int]] = {"completed": 0, "failed": 1, "cancelled": 3}
"""What commands that wait for a run say of its end."""

BLOCK_MS: Final = 500


def follow(
    engine: Engine,
    run: str,
    show: Callable[[HistoryEvent], None] = lambda _: None,
    *,
    timeout: float | None = None,
) -> Result:
    """Show the events of a run until it has ended, and give how.

    An end in its history is none when the run was opened again after it: what the run is now decides. Raises
    RunNotFound, and WaitTimeout after `timeout` seconds.
    """
    from openagents_json.engine import CLOSED_RUN, WaitTimeout

    clock = engine.clock
    ends = None if timeout is None else clock.steady_ms() + timeout * 1000
    after = 0
    is_told = False
    info = engine.state(run)
    # Until it has ended and its last event is shown: the state may be read before the event, or after it.
    while info.status not in CLOSED_RUN or after < info.version:
        block_ms = BLOCK_MS
        if ends is not None:
            block_ms = min(BLOCK_MS, int(ends - clock.steady_ms()))
        if block_ms <= 0:
            raise WaitTimeout(run, timeout or 0, info.status)
        events = engine.watch(run, after=after, block_ms=block_ms)
        for event in events:
            show(event)
            after = event.version
        if not events and not is_told:
            is_told = True
            _tell_if_nobody_works(engine, run)
        info = engine.state(run)
    return engine.wait(run)


def _tell_if_nobody_works(engine: Engine, run: str) -> None:
    advice = "start one with `openagents worker -c MODULE`"
    if not engine.workers():
        message = f"run {run} waits: no worker is alive in this store"
        say(f"openagents: {message}; {advice}", err=True)
        return
    for step, why in engine.lacking(run).items():
        say(f"openagents: step {step} {why}; {advice}", err=True)
