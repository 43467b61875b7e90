"""Runs that wait for each other for ever: each has a place that another needs, and ends only when that has ended.

A run has its place until the runs that it waits for have ended. So two workflows that call each other under different
keys of concurrency can stop each other, and nobody is told: each of their runs waits. A mutex is no part of it, for it
goes with components, which come to an end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from eventstore.redis.driver.fitness.findings import Finding
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
    waits: list[Wait] = []
    for lock in locks:
        runs = map(_run, lock.line)
        waits += [Wait(run, lock, tuple(above(run))) for run in runs]
    blockers = _endless(waits)
    circles_by_members: dict[frozenset[Wait], tuple[Wait, ...]] = {}
    for wait in blockers:
        circle = _circle(wait, blockers)
        circles_by_members.setdefault(frozenset(circle), circle)
    return list(circles_by_members.values())


def _run(member: str) -> str:
    return member.partition("|")[0]


def _endless(waits: Iterable[Wait]) -> dict[Wait, list[Wait]]:
    """Return the waits that never end, each with those of them that the holders of its lock wait in."""
    candidates = [wait for wait in waits if wait.lock.holders]
    waits_of: defaultdict[str, list[Wait]] = defaultdict(list)
    for wait in candidates:
        for run in (wait.run, *wait.above):
            waits_of[run].append(wait)
    holders: dict[Wait, list[list[Wait]]] = {}
    for wait in candidates:
        holders[wait] = [waits_of[_run(holder)] for holder in wait.lock.holders]
    endless = set(candidates)
    while ending := {wait for wait in endless if _ends(holders[wait], endless)}:
        endless -= ending
    blockers: dict[Wait, list[Wait]] = {}
    for wait in filter(endless.__contains__, candidates):
        of_holders = chain.from_iterable(holders[wait])
        blockers[wait] = [blocker for blocker in of_holders if blocker in endless]
    return blockers


def _ends(holders: Iterable[Sequence[Wait]], endless: AbstractSet[Wait]) -> bool:
    """Tell whether one holder goes on; that is enough, for it gives its place back."""
    return any(endless.isdisjoint(waits_of_holder) for waits_of_holder in holders)


def _circle(wait: Wait, blockers: Mapping[Wait, Sequence[Wait]]) -> tuple[Wait, ...]:
    path: list[Wait] = []
    while wait not in path:
        path.append(wait)
        wait = blockers[wait][0]
    return tuple(path[path.index(wait) :])


def stuck_runs(engine: Engine) -> Iterator[Finding]:
    """Return the circles of a store."""
    first = _circles_now(engine)
    if not first:
        return
    # The locks of a store are not read at one moment: what holds for ever is seen twice.
    again = {frozenset(circle) for circle in _circles_now(engine)}
    for circle in first:
        if frozenset(circle) in again:
            yield _finding(circle)


def _circles_now(engine: Engine) -> list[tuple[Wait, ...]]:
    locks = Inspector(engine.core.store).places()
    return circles(locks, lambda run: _waiting_for(engine, run))


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
    following = [*circle[1:], circle[0]]
    holders = [
        _holder(wait, after) for wait, after in zip(circle, following, strict=True)
    ]
    awaited_by = [holders[-1], *holders[:-1]]
    sentences = []
    for wait, holder, parent in zip(circle, holders, awaited_by, strict=True):
        child = "" if parent == wait.run else f", for which run {parent} waits,"
        key = wait.lock.name.partition(":")[2]
        sentences.append(
            f"run {wait.run}{child} waits for a place of the concurrency key {key!r}, which run {holder} has"
        )
    story = "; ".join(sentences)
    what = f"runs wait for each other, and none of them can go on: {story}"
    remedy = (
        f"cancel one of them (openagents runs cancel {holders[0]}); give workflows that call each other one key, "
        "or have one start the other detached"
    )
    return Finding("error", "circle", what, remedy)


def _holder(wait: Wait, after: Wait) -> str:
    """Return the run that has what a wait waits for, and waits for the next one in the circle itself."""
    family = (after.run, *after.above)
    runs = map(_run, wait.lock.holders)
    return next(run for run in runs if run in family)
