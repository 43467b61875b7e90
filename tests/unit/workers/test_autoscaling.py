"""How many workers there should be, played through with loads of all kinds and workers that begin slowly or crash."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from openagents_json.engine.worker_types.autoscaling import (
    Load,
    Policy,
    Scale,
    first_scale,
    next_scale,
)

MINUTE = 60
POLICY = Policy(at_least=0, at_most=200)
Arrivals = Callable[[int], float]


@dataclass
class World:
    """Seconds of a queue: each worker does `pace` steps in one, begins after `slow` of them, may crash."""

    arrivals: Arrivals
    pace: float = 1.0
    slow: int = 3
    crashes: float = 0.0
    policy: Policy = POLICY
    counts: list[int] = field(default_factory=list)
    backlogs: list[int] = field(default_factory=list)
    waits: list[int] = field(default_factory=list)

    def play(self, seconds: int) -> World:
        scale = first_scale(self.policy, 0.0)
        queue: deque[int] = deque()
        begun: list[int] = []
        arrived = done = 0.0
        random = Random(7)
        for now in range(1, seconds + 1):
            arrived += self.arrivals(now)
            queue.extend([now] * int(arrived))
            arrived -= int(arrived)
            begun = [at for at in begun if random.random() >= self.crashes]
            begun = begun[: scale.count] + [now] * (scale.count - len(begun))
            working = sum(now - at >= self.slow for at in begun)
            done = min(done + working * self.pace, len(queue) + working * self.pace)
            while queue and done >= 1:
                self.waits.append(now - queue.popleft())
                done -= 1
            load = Load(len(queue), (now - queue[0]) * 1000 if queue else 0)
            scale = next_scale(scale, load, working, self.policy, now * 1000.0)
            self.counts.append(scale.count)
            self.backlogs.append(len(queue))
        return self

    def turns(self, first: int = 0) -> int:
        """Return how often there were more after there had been fewer, from a second on."""
        moves = [b - a for a, b in pairwise(self.counts[first:]) if a != b]
        return sum(a < 0 < b for a, b in pairwise(moves))


def steady(rate: float, since: int = 0, until: int = 10**9) -> Arrivals:
    return lambda now: rate if since <= now < until else 0.0


def absorbed_after(world: World, since: int) -> int:
    """Return how many seconds after a change of load nothing waits any more."""
    return next(n for n, x in enumerate(world.backlogs[since:]) if not x)


def test_a_steady_load_is_served_and_workers_come_and_go_ever_more_rarely() -> None:
    for rate, slow in ((5.0, 1), (50.0, 10), (50.0, 60)):
        world = World(steady(rate), slow=slow).play(2 * 60 * MINUTE)
        needed = math.ceil(rate)
        assert 0.5 * needed <= min(world.counts[-30 * MINUTE :])
        assert max(world.counts[-30 * MINUTE :]) <= 1.3 * needed
        assert world.turns(first=60 * MINUTE) <= 8
        assert max(world.waits[-int(rate) * 30 * MINUTE :]) <= slow + 5


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    rate=st.floats(0.2, 30),
    pace=st.floats(0.5, 5),
    slow=st.integers(1, 30),
)
def test_a_step_of_load_is_absorbed_in_the_time_that_is_stated_and_workers_go_after_it(
    rate: float, pace: float, slow: int
) -> None:
    ends = 20 * MINUTE
    world = World(steady(rate, 60, ends), pace, slow).play(90 * MINUTE)
    # Twice as many begin each time, and those of each round have to begin before the next is asked for.
    rounds = math.ceil(math.log2(rate / pace + 2)) + 1
    stated = POLICY.absorb_ms // 1000 + rounds * (slow + 2)
    assert absorbed_after(world, 60) <= 1.5 * stated
    assert all(0 <= count <= POLICY.at_most for count in world.counts)
    assert world.turns() <= 12
    assert world.counts[-1] == 0


def test_a_burst_is_absorbed_and_a_type_goes_to_no_workers_and_back() -> None:
    world = World(lambda now: 1000 if now in (60, 1800) else 0).play(MINUTE * 60)
    for second in (60, 1800):
        assert absorbed_after(world, second) <= 90
        assert world.counts[second - 5] == 0
    assert max(world.counts) <= 40
    assert world.counts[-1] == 0


def test_workers_follow_a_day_and_crashes_of_them() -> None:
    day = 24 * 60 * MINUTE
    wave = World(lambda now: 20 + 19 * math.sin(2 * math.pi * now / day)).play(day)
    assert max(wave.waits) <= 20
    assert wave.turns() <= 120
    assert sum(wave.counts) / day <= 1.15 * 20
    world = World(steady(20.0), crashes=0.002).play(60 * MINUTE)
    assert max(world.waits[-20 * 30 * MINUTE :]) <= 5


def test_what_is_on_its_way_to_a_slot_needs_no_worker_and_those_that_begin_are_awaited() -> (
    None
):
    policy = Policy(at_least=1, at_most=9)
    scale = first_scale(policy, 0.0)
    assert next_scale(scale, Load(3, 900), 1, policy, 1000.0).count == 1
    more = next_scale(scale, Load(3, 2000), 1, policy, 1000.0)
    assert more.count == 3
    assert next_scale(more, Load(30, 3000), 1, policy, 2000.0).count == 3
    assert isinstance(more, Scale)
