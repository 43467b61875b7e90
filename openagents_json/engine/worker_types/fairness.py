"""Fairness keys: whose steps wait for which workers, and weights that are said while they wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eventstore.errors import InvalidRequest
from eventstore.redis.upkeep.key_backlog import waiting_keys
from executor.worker.abilities import all_queues, type_of
from executor.worker.orders import WEIGHT, known_types, to_key, weights_in
from openagents_json.engine.worker_types.control import WorkerControl, WorkerOrder

if TYPE_CHECKING:
    from openagents_json.engine.wiring.client import Core

HEAVIEST: Final = 1000
"""The largest weight: a key may delay the others by so many steps each time that its turn comes."""

MOST_WEIGHTS: Final = 1000
"""So many weights can be said, as each worker reads them with its beat; documents say as many as they like."""


@dataclass(frozen=True, slots=True)
class KeyShare:
    """A fairness key and its `steps` that wait for a worker type, the first of them for `age_ms`.

    `weight` is how many of them are taken each time that its turn comes; `overridden` tells that it was said from
    outside, and that what the steps say does not count.
    """

    worker_type: str
    key: str
    steps: int
    age_ms: int
    weight: int
    overridden: bool


class KeyShares:
    """The fairness keys of one store."""

    def __init__(self, core: Core, actor: str) -> None:
        self._core = core
        self._actor = actor

    def waiting(self, limit: int = 100) -> list[KeyShare]:
        """Return the keys whose steps wait, by worker type, those with the most steps first.

        Of each queue in each partition, the next `limit` keys in turn are looked at. Raises StoreUnavailable.
        """
        directory = self._core.directory
        told = directory.orders.in_force()
        overrides = weights_in(told)
        queues = all_queues(sorted(known_types(directory, told)))
        shares: dict[tuple[str, str], KeyShare] = {}
        for line in waiting_keys(self._core.store, queues, limit):
            name = type_of(line.queue), line.key
            before = shares.get(
                name, KeyShare(*name, 0, 0, line.weight, overridden=False)
            )
            shares[name] = KeyShare(
                *name,
                steps=before.steps + line.steps,
                age_ms=max(before.age_ms, line.apparent_ms),
                weight=overrides.get(line.key, before.weight),
                overridden=line.key in overrides,
            )
        ordered = sorted(shares.values(), key=_order)
        return ordered[:limit]

    def weigh(self, key: str, weight: int | None, *, reason: str = "") -> WorkerOrder:
        """Give a key a weight from now on, whatever its steps say; None lets that count again.

        It counts for what waits already. Raises InvalidRequest, StoreUnavailable.
        """
        if not key or (weight is not None and not 1 <= weight <= HEAVIEST):
            raise InvalidRequest(
                f"{key!r} cannot have the weight {weight}",
                remedy=f"name a key, and a weight from 1 to {HEAVIEST:,}",
            )
        directory = self._core.directory
        overrides = weights_in(directory.orders.in_force())
        is_one_more = weight is not None and key not in overrides
        if is_one_more and len(overrides) >= MOST_WEIGHTS:
            raise InvalidRequest(
                f"{MOST_WEIGHTS:,} keys have weights that were said already",
                remedy="take some back, or give weights in documents",
            )
        # First what all workers see and carry out again: who dies behind it has said it all the same.
        control = WorkerControl(directory, self._actor)
        order = control.give(WEIGHT, to_key(key), reason, at_most=weight)
        self._core.runs.weigh({key: weight})
        return order


def _order(share: KeyShare) -> tuple[str, int, str]:
    return share.worker_type, -share.steps, share.key
