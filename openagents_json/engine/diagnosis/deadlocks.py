"""Runs that wait for each other for ever: each has a place that another needs, and ends only when that has ended.

A run has its place until the runs that it waits for have ended. So two workflows that call each other under different
keys of concurrency can stop each other, and nobody is told: each of their runs waits. A mutex is no part of it, for it
goes with components, which come to an end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventstore.redis.driver.preflight import Finding
from eventstore.redis.upkeep.inspection import Inspector, Lock
from openagents_json.errors import RunUnreadable
from openagents_json.workflow.core import state as st

if TYPE_CHECKING:
    from openagents_json.engine.facade import Engine

Above = Callable[[str], Iterable[str]]
"""Gives the runs that wait for a run to end: its parent, whose parent, and so on."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A run in the line for a place; the runs `above` wait for it."""

    run: str
    lock: Lock = field(compare=False)
    above: tuple[str, ...] = ()


def circles(locks: Iterable[Lock], above: Above) -> list[tuple[Wait, ...]]:
    """Find waits that each wait for the next one, and the last for the first."""
    everyone = [
        Wait(_run(member), lock, tuple(above(_run(member))))
        for lock in locks
        for member in lock.line
    ]
    kept = _kept_by_others([wait for wait in everyone if wait.lock.holders])
    found: dict[frozenset[Wait], tuple[Wait, ...]] = {}
    for wait in kept:
        circle = _circle(wait, kept)
        found.setdefault(frozenset(circle), circle)
    return list(found.values())


def _run(member: str) -> str:
    return member.partition("|")[0]


def _kept_by_others(everyone: Sequence[Wait]) -> dict[Wait, list[Wait]]:
    """Return the waits that never end, each with those that the holders of its lock wait for."""
    below: defaultdict[str, list[Wait]] = defaultdict(list)
    for wait in everyone:
        for run in (wait.run, *wait.above):
            below[run].append(wait)
    reasons = {
        wait: [below[_run(holder)] for holder in wait.lock.holders] for wait in everyone
    }
    kept, before = set(everyone), -1
    while len(kept) != before:
        before = len(kept)
        # One holder that goes on is enough: it gives its place back.
        kept = {
            wait
            for wait in kept
            if all(any(one in kept for one in waits) for waits in reasons[wait])
        }
    return {
        wait: [one for waits in reasons[wait] for one in waits if one in kept]
        for wait in everyone
        if wait in kept
    }


def _circle(wait: Wait, kept: Mapping[Wait, Sequence[Wait]]) -> tuple[Wait, ...]:
    path: list[Wait] = []
    while wait not in path:
        path.append(wait)
        wait = kept[wait][0]
    return tuple(path[path.index(wait) :])


def stuck_runs(engine: Engine) -> Iterator[Finding]:
    """Return the circles of a store."""
    first = _found(engine)
    # The locks of a store are not read at one moment: what holds for ever is seen twice.
    again = {frozenset(circle) for circle in _found(engine)} if first else set()
    for circle in first:
        if frozenset(circle) in again:
            yield _finding(circle)


def _found(engine: Engine) -> list[tuple[Wait, ...]]:
    return circles(
        Inspector(engine.core.store).places(), lambda run: _waiting_for(engine, run)
    )


def _waiting_for(engine: Engine, run: str) -> Iterator[str]:
    """Return the runs that wait for a run to end, the nearest first; a detached run is waited for by nobody."""
    try:
        parent = engine.core.sessions.load(run).state.parent
        while parent is not None:
            state = engine.core.sessions.load(str(parent["run"])).state
            step = state.steps.get(str(parent["step"]))
            if step is None or step.status != st.ACTIVE:
                return
            yield state.run
            parent = state.parent
    except RunUnreadable:  # others say so; here it waits for nobody
        return


def _finding(circle: Sequence[Wait]) -> Finding:
    holders = [
        _holder(wait, circle[(place + 1) % len(circle)])
        for place, wait in enumerate(circle)
    ]
    parts = []
    for wait, holder, before in zip(
        circle, holders, (holders[-1], *holders), strict=False
    ):
        for_it = "" if before == wait.run else f", for which run {before} waits,"
        key = wait.lock.name.partition(":")[2]
        parts.append(
            f"run {wait.run}{for_it} waits for a place of the concurrency key {key!r}, which run {holder} has"
        )
    what = f"runs wait for each other, and none of them can go on: {'; '.join(parts)}"
    remedy = (
        f"cancel one of them (openagents runs cancel {holders[0]}); give workflows that call each other one key, "
        f"or have one start the other detached"
    )
    return Finding("error", "circle", what, remedy)


def _holder(wait: Wait, after: Wait) -> str:
    """Return the run that has what a wait waits for, and waits for the next one in the circle itself."""
    return next(
        run for run in map(_run, wait.lock.holders) if run in (after.run, *after.above)
    )
