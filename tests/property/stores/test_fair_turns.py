"""Claims take steps of keys as deficit round robin does in the textbook, whatever comes in and whatever is claimed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as s

from eventstore.memory.runs import MemoryRunStore
from eventstore.run_model import ClaimRequest
from eventstore.testing.commits import LEASE, ready, started
from openagents_json.work_index import IndexChanges, Share

WEIGHTS = {"a": 1, "b": 3, "c": 2, "d": 1}


@dataclass
class DeficitRoundRobin:
    """The model of Shreedhar and Varghese with packets of size 1: active keys in a list, a deficit for each."""

    active: deque[str] = field(default_factory=deque)
    packets: dict[str, deque[str]] = field(default_factory=dict)
    deficits: dict[str, int] = field(default_factory=dict)

    def arrive(self, key: str, packet: str) -> None:
        """Queue a packet of a key."""
        if not self.packets.get(key):
            self.active.append(key)
            self.packets[key] = deque()
            self.deficits[key] = 0
        self.packets[key].append(packet)

    def serve(self) -> str | None:
        """Send one packet, None when there is none."""
        if not self.active:
            return None
        key = self.active[0]
        if self.deficits[key] < 1:
            self.deficits[key] += WEIGHTS[key]
        self.deficits[key] -= 1
        packet = self.packets[key].popleft()
        if not self.packets[key]:
            self.active.popleft()
        elif self.deficits[key] < 1:
            self.active.rotate(-1)
        return packet


ARRIVALS = s.tuples(s.sampled_from(sorted(WEIGHTS)), s.integers(1, 6))


def claimed(store: MemoryRunStore, at_most: int, number: int) -> list[str]:
    request = ClaimRequest(0, "q", at_most, f"k{number}", "h")
    [reply] = store.claim([request], worker="w", lease_ms=LEASE)
    return [claim.lease.step for claim in reply.claimed]


@given(s.lists(ARRIVALS | s.integers(1, 7), max_size=30))
def test_the_order_is_that_of_deficit_round_robin(
    course: list[tuple[str, int] | int],
) -> None:
    store = MemoryRunStore(now_ms=lambda: 1_000_000_000_000)
    model = DeficitRoundRobin()
    for number, act in enumerate([*course, 50, 50, 50, 50]):
        if isinstance(act, int):
            served = (model.serve() for _ in range(act))
            expected = [packet for packet in served if packet is not None]
            assert claimed(store, act, number) == expected
            continue
        key, count = act
        names = [f"{key}{number}-{i}" for i in range(count)]
        shares = tuple(Share(name, key, WEIGHTS[key]) for name in names)
        steps = (ready(name) for name in names)
        changes = IndexChanges(shares=shares)
        store.commit(started(*steps, run=f"0-{number}", changes=changes))
        for name in names:
            model.arrive(key, name)
    assert not model.active
