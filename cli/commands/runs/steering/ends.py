"""The ends of many runs: waited for together, with one time limit for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cli.commands.outcomes import GoingOn
from cli.failing.interrupts import notice_at_interrupt, notice_of_many
from cli.following import EXIT
from cli.terminal import say

if TYPE_CHECKING:
    from openagents_json.engine import Engine

SHORTEST_SECONDS: Final = 0.001
"""Behind the time limit the others are still asked, without waiting: they may have ended long ago."""


def wait_for_ends(engine: Engine, then: GoingOn, runs: Sequence[str]) -> int:
    """Wait for the ends of runs and count them; gives the exit code of one that ended so, where all have ended alike.

    Raises WaitTimeout when some have not ended within the time that there is for all of them together.
    """
    works = bool(then.threads)
    with notice_at_interrupt(lambda: notice_of_many(then.target, works=works)):
        then.begin_work(engine)
        then.tell_if_nobody_works(engine, runs[0], engine.status(runs[0]))
        ends, late = _ends(engine, then.timeout, runs)
    counts = Counter(ends)
    told = [f"{count} {status}" for status, count in counts.items()]
    if late:
        told.append(f"{len(late)} not ended")
    if told and not then.target.as_json:
        say(", ".join(told))
    if late:
        raise late[0]
    codes = {EXIT.get(status, 1) for status in ends}
    if len(codes) > 1:
        return 1
    return next(iter(codes), 0)


def _ends(
    engine: Engine, timeout: float | None, runs: Sequence[str]
) -> tuple[list[str], list[Exception]]:
    """Return how runs have ended, and what is said of those that have not in time."""
    from openagents_json.engine import WaitTimeout

    clock = engine.clock
    began_ms = clock.steady_ms()
    ends: list[str] = []
    late: list[Exception] = []
    for run in runs:
        seconds = None
        if timeout is not None:
            spent_seconds = (clock.steady_ms() - began_ms) / 1000
            seconds = max(SHORTEST_SECONDS, timeout - spent_seconds)
        try:
            ends.append(engine.wait(run, timeout=seconds).status)
        except WaitTimeout as error:
            late.append(WaitTimeout(run, timeout or 0, error.status))
    return ends, late
