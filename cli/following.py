"""Follow a run until it has ended, and say so when nobody is there to do its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from cli.terminal import note

if TYPE_CHECKING:
    from cli.options import Target
    from openagents_json.engine import Engine, HistoryEvent, Result

EXIT: Final[Mapping[str, int]] = {"completed": 0, "failed": 1, "cancelled": 3}
"""What commands that wait for a run say of its end."""

BLOCK_MS: Final = 500

WORKER: Final = "openagents worker -c MODULE"


def follow(
    engine: Engine,
    run: str,
    show: Callable[[HistoryEvent], None] = lambda _: None,
    *,
    after: int = 0,
    timeout: float | None = None,
    target: Target | None = None,
) -> Result:
    """Show the events of a run after a version until it has ended, and give how.

    While nothing happens, it says why, with commands that go on from there on the store of `target`.

    An end in its history is none when the run was opened again after it: what the run is now decides. Raises
    RunNotFound, and WaitTimeout after `timeout` seconds.
    """
    try:
        hints = Hints(engine, run, target)
        _show_all(engine, run, show, after, timeout, hints)
    finally:
        # Also when somebody interrupts: what is drawn is taken off the terminal before anything else is written.
        close = getattr(show, "close", None)
        if close is not None:
            close()
    return engine.wait(run)


def _show_all(
    engine: Engine,
    run: str,
    show: Callable[[HistoryEvent], None],
    after: int,
    timeout: float | None,
    hints: Hints,
) -> None:
    from openagents_json.engine import CLOSED_RUN, WaitTimeout

    clock = engine.clock
    ends = None if timeout is None else clock.steady_ms() + timeout * 1000
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
        if not events:
            hints.tell(after)
        info = engine.state(run)


class Hints:
    """What is said while nothing happens: what the run waits for, and that nobody is there to work, once each."""

    def __init__(self, engine: Engine, run: str, target: Target | None) -> None:
        self._engine = engine
        self._run = run
        self._worker = WORKER if target is None else target.worker()
        self._store = "" if target is None else target.place()
        self._version = -1
        self._waits: set[tuple[str, str]] = set()
        self._is_told = False

    def tell(self, version: int) -> None:
        """Say what has not been said, if anything has happened up to this version since."""
        if version == self._version:
            return
        self._version = version
        if self._tell_waits() or self._is_told:
            return
        self._is_told = True
        tell_if_nobody_works(self._engine, self._run, self._worker)

    def _tell_waits(self) -> bool:
        """Say what steps wait for signals, and tell whether all that is under way does."""
        from cli.commands.runs.inspection.answers import wait_lines

        seen = self._engine.overview(self._run)
        signals = [wait for wait in seen.waits if wait.signals]
        for wait in signals:
            key = (wait.step, wait.reason)
            if key in self._waits:
                continue
            self._waits.add(key)
            for sentence in wait_lines(self._run, wait, seen.now_ms, self._store):
                note(sentence)
        return bool(signals) and len(signals) == len(seen.waits)


def tell_if_nobody_works(engine: Engine, run: str, worker: str = WORKER) -> None:
    """Say so when no worker is alive, or none can run the next steps; `worker` is the command that starts one."""
    advice = f"start one with `{worker}`"
    if not engine.workers():
        message = f"run {run} waits: no worker is alive in this store"
        note(f"openagents: {message}; {advice}")
        return
    for step, why in engine.lacking(run).items():
        note(f"openagents: step {step} {why}; {advice}")
