"""Remote control of workers: they take nothing, run fewer steps or end, because somebody says so, with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from eventstore.redis.coordination.members import Directory
from executor.worker.orders import CONCURRENCY, DRAIN, PAUSE, to_type, to_worker
from openagents_json.engine.worker_types.errors import WorkerNotFound

KEPT_MS: Final = 24 * 3_600_000
"""How long what was said to a process is kept that is not alive any more."""


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """Something that workers were told, `by` somebody for a `reason`.

    `what` is pause, concurrency, drain or weight, `target` is `type:<worker type>`, `worker:<id>` or
    `key:<fairness key>`; `holds` is false where it was taken back. `at_most` is how many steps may run at a time, or
    the weight.
    """

    what: str
    target: str
    holds: bool
    by: str
    reason: str
    at_ms: int
    at_most: int = 0


class WorkerControl:
    """Tells workers of one store what to do; they hear of it with their next beat, within about three seconds."""

    def __init__(self, directory: Directory, actor: str) -> None:
        self._directory = directory
        self._actor = actor

    def pause(
        self, *, worker: str = "", worker_type: str = "", reason: str = ""
    ) -> WorkerOrder:
        """Let a process, or all of a type, take no new steps; what runs goes on.

        Raises WorkerNotFound.
        """
        return self._say(PAUSE, self._target(worker, worker_type), reason)

    def resume(
        self, *, worker: str = "", worker_type: str = "", reason: str = ""
    ) -> WorkerOrder:
        """Take a pause back.

        Raises WorkerNotFound.
        """
        target = self._target(worker, worker_type)
        return self._say(PAUSE, target, reason, holds=False)

    def concurrency(
        self,
        at_most: int | None,
        *,
        worker: str = "",
        worker_type: str = "",
        reason: str = "",
    ) -> WorkerOrder:
        """Let each process run so many steps of each type at a time, or of this type; None is as many as it has slots.

        It never has more slots than it began with. Raises WorkerNotFound.
        """
        target = self._target(worker, worker_type)
        holds = at_most is not None
        return self._say(CONCURRENCY, target, reason, holds=holds, at_most=at_most or 0)

    def drain(
        self, *, worker: str = "", worker_type: str = "", reason: str = ""
    ) -> list[WorkerOrder]:
        """Let a process end in good order, or all that serve a type now, as a SIGTERM would.

        Raises WorkerNotFound.
        """
        if worker:
            targets = [self._target(worker, "")]
        else:
            alive = self._processes()
            serving = [name for name in alive if worker_type in alive[name]["queues"]]
            targets = [to_worker(name) for name in sorted(serving)]
        return [self._say(DRAIN, target, reason) for target in targets]

    def give(
        self, what: str, target: str, reason: str, *, at_most: int | None
    ) -> WorkerOrder:
        """Say a number for what claims heed themselves; None takes it back."""
        holds = at_most is not None
        return self._say(what, target, reason, holds=holds, at_most=at_most or 0)

    def log(self, limit: int = 100) -> list[WorkerOrder]:
        """Return what workers were told, the latest first."""
        entries = self._directory.orders.log(limit)
        return [_order(name, noted) for name, noted in entries]

    def in_force(self) -> list[WorkerOrder]:
        """Return what holds now, by whom it is meant for."""
        orders = self._directory.orders.in_force()
        return [_order(name, orders[name]) for name in sorted(orders)]

    def _processes(self) -> dict[str, dict[str, Any]]:
        """Return the live worker processes; those who work over HTTP do not hear."""
        alive = self._directory.workers()
        return {name: info for name, info in alive.items() if name[:5] != "http:"}

    def _target(self, worker: str, worker_type: str) -> str:
        if worker_type:
            return to_type(worker_type)
        if worker not in self._processes():
            raise WorkerNotFound(worker)
        return to_worker(worker)

    def _say(
        self,
        what: str,
        target: str,
        reason: str,
        *,
        holds: bool = True,
        at_most: int = 0,
    ) -> WorkerOrder:
        orders = self._directory.orders
        orders.forget(list(self._left_over(orders.in_force())))
        order = {
            "by": self._actor,
            "reason": reason,
            "at_most": at_most,
            "holds": holds,
        }
        name = f"{what} {target}"
        return _order(name, orders.give(name, order, holds=holds))

    def _left_over(self, orders: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
        """Return what was said to processes that ended long before anything that was said since."""
        latest_ms = max((order["at_ms"] for order in orders.values()), default=0)
        alive = self._directory.workers()
        for name, order in orders.items():
            kind, _, worker = name.partition(" ")[2].partition(":")
            is_old = order["at_ms"] < latest_ms - KEPT_MS
            if kind == "worker" and is_old and worker not in alive:
                yield name


def _order(name: str, noted: Mapping[str, Any]) -> WorkerOrder:
    what, _, target = name.partition(" ")
    members = ("holds", "by", "reason", "at_ms", "at_most")
    return WorkerOrder(what, target, **{member: noted[member] for member in members})
