"""How many workers a type should have: a pure function of what waits for them, looked at again and again.

Two numbers tell all of it. Steps are taken in the order in which they came, so the `backlog` are those that came within
the age of the oldest: their ratio is how fast steps arrive (Little's law, as in Little, 1961). How fast they are served
is what arrived since the last look, less by what the backlog grew. What is needed is enough workers for what arrives,
and for what waits within `absorb_ms`.

There are more at once, as far as those that were begun work already, and fewer only after nothing has waited for a
while. Whether a worker less would do cannot be seen from a queue that is empty, so it is tried: that was wrong if steps
wait soon after it, and then the pause before the next try doubles. So a steady load has workers that come and go ever
more rarely, and one that ends loses them faster and faster, one, two, four at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

SOON_MS: Final = 1_000
"""A step that waits for less is on its way to a slot, not in want of one."""

SURE: Final = 8
"""When so many go at a time, seven have gone already, and nobody has missed them."""


@dataclass(frozen=True, slots=True)
class Load:
    """What waits for a worker type: how many steps, and for how long the oldest of them."""

    backlog: int = 0
    oldest_ms: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """Between which bounds there are workers, how soon what waits should be done, and how long nothing has to wait.

    The pause before there are fewer is from `idle_ms` to `longest_idle_ms`.
    """

    at_least: int = 0
    at_most: int = 1
    absorb_ms: int = 30_000
    idle_ms: int = 30_000
    longest_idle_ms: int = 480_000


@dataclass(frozen=True, slots=True)
class Scale:
    """How many workers there should be, and what has to be remembered until the next look.

    `calm_ms` is since when nothing has waited, `pause_ms` how long that has to last, `fewer` how many go then.
    `required` is how many what arrived needed when some of it waited; below that, they go one by one. `tried` tells
    that there are fewer since, and nothing has waited yet.
    """

    count: int
    looked_ms: float
    calm_ms: float
    pause_ms: float
    backlog: int = 0
    fewer: int = 1
    required: int = 0
    tried: bool = False


def first_scale(policy: Policy, now_ms: float) -> Scale:
    """Return where to begin: with as few workers as there may be."""
    return Scale(policy.at_least, now_ms, now_ms, policy.idle_ms)


def next_scale(
    scale: Scale, load: Load, working: int, policy: Policy, now_ms: float
) -> Scale:
    """Return how many workers there should be now, where so many of them are `working`."""
    looked = replace(scale, looked_ms=now_ms, backlog=load.backlog)
    if load.backlog and (load.oldest_ms >= SOON_MS or not scale.count):
        return _grown(scale, looked, load, working, policy)
    return _shrunk(looked, policy)


def _grown(
    before: Scale, looked: Scale, load: Load, working: int, policy: Policy
) -> Scale:
    pause_ms = looked.pause_ms
    if looked.tried:
        pause_ms = min(2 * pause_ms, policy.longest_idle_ms)
    needed, required = looked.count, max(looked.required, looked.count)
    if working >= looked.count:  # else those that begin may be enough
        needed, required = _needed(before, looked, load, working, policy)
    return replace(
        looked,
        count=_bounded(max(looked.count, min(needed, 2 * looked.count + 1)), policy),
        calm_ms=looked.looked_ms,
        pause_ms=pause_ms,
        fewer=1,
        required=required,
        tried=False,
    )


def _needed(
    before: Scale, looked: Scale, load: Load, working: int, policy: Policy
) -> tuple[int, int]:
    """Return how many workers do what arrives and, in time, what waits; and how many do what arrives alone.

    It is twice as many where nothing is done yet, as nobody knows what one of them does.
    """
    elapsed_ms = looked.looked_ms - before.looked_ms
    arriving = load.backlog / max(load.oldest_ms, SOON_MS)
    served = arriving * elapsed_ms - (load.backlog - before.backlog)
    if served <= 0 or not working or elapsed_ms <= 0:
        return 2 * looked.count + 1, looked.count
    by_one = served / elapsed_ms / working
    waiting = load.backlog / policy.absorb_ms
    return math.ceil((arriving + waiting) / by_one), math.ceil(arriving / by_one)


def _shrunk(looked: Scale, policy: Policy) -> Scale:
    if looked.looked_ms - looked.calm_ms < looked.pause_ms:
        return replace(looked, count=_bounded(looked.count, policy))
    # So many were not needed any more: fewer of them did.
    if looked.tried and looked.count < looked.required:
        looked = replace(looked, required=0)
    above = looked.count - looked.required
    fewer = min(looked.fewer, above) if above > 0 else 1
    count = _bounded(looked.count - fewer, policy)
    if count == looked.count:
        return looked
    pause_ms = looked.pause_ms
    if fewer >= SURE:  # several tries were right: that load is gone
        pause_ms = max(pause_ms / 2, policy.idle_ms)
    return replace(
        looked,
        count=count,
        calm_ms=looked.looked_ms,
        pause_ms=pause_ms,
        fewer=2 * fewer,
        tried=True,
    )


def _bounded(count: int, policy: Policy) -> int:
    return min(max(count, policy.at_least), policy.at_most)
