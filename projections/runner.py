"""The runner: folds what has come into a partition's log and stores view and checkpoint in one atomic step.

Any number of processes may run the same projections: a batch is refused when another process was faster, so each event
is in each view exactly once, whoever dies where.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from eventstore.event import Recorded
from eventstore.passwords import masked
from eventstore.views import MOST, Batch, ViewStore
from projections.errors import ProjectionFailed
from projections.fold import Keyed, fold, keyed
from projections.projection import Projection

log = logging.getLogger(__name__)

AGAIN_MS = 10_000
"""How soon an event that a projection raised on is tried again."""

KEEP_MS = 60_000
"""How long a view is kept for readers that began before it was replaced."""


class Log(Protocol):
    """What is read of the event store."""

    def read(
        self,
        places: Sequence[tuple[int, int]],
        limit: int,
        types: Iterable[str] | None = None,
    ) -> list[tuple[int, list[Recorded]]]:
        """Give, for each (partition, position), how far it was read and the events of some types, None for all."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """A view that is kept up to date."""

    projection: Projection
    view: str


@dataclass(frozen=True, slots=True)
class _Task:
    """One view and one partition: the events with their keys, and the one that stops the view, if one does."""

    target: Target
    partition: int
    checkpoint: int
    pairs: Sequence[Keyed]
    to: int
    failure: ProjectionFailed | None

    @property
    def ahead(self) -> bool:
        """Tell whether there is anything to store."""
        return self.to > self.checkpoint

    @property
    def keys(self) -> list[str]:
        return list({key: None for key, _ in self.pairs})

    def before(self, failure: ProjectionFailed) -> _Task:
        """Return the part before an event."""
        bound = failure.event.position.n
        pairs = [pair for pair in self.pairs if pair[1].position.n < bound]
        return _Task(
            self.target, self.partition, self.checkpoint, pairs, bound - 1, failure
        )


def _task(
    target: Target, partition: int, checkpoint: int, events: Iterable[Recorded], to: int
) -> _Task:
    later = (event for event in events if event.position.n > checkpoint)
    pairs, failure = keyed(target.projection, target.view, later)
    return _Task(
        target,
        partition,
        checkpoint,
        pairs,
        failure.event.position.n - 1 if failure else to,
        failure,
    )


class Runner:
    """Keeps views up to date, as far as it is asked to; not for several threads at a time."""

    def __init__(
        self,
        log: Log,
        store: ViewStore,
        projections: Iterable[Projection],
        partitions: int,
        steady_ms: Callable[[], float],
        *,
        batch: int = 500,
    ) -> None:
        self.projections = {projection.name: projection for projection in projections}
        self.partitions, self.log, self._store, self._batch = (
            partitions,
            log,
            store,
            batch,
        )
        self._steady_ms = steady_ms
        self._stopped: dict[tuple[str, int], float] = {}

    def targets(self) -> list[Target]:
        """Return the views to keep: of each projection the one in use, and the one being built."""
        known = self._store.generations()
        found = []
        for projection in self.projections.values():
            used = known.get(projection.id) or self._store.begin_generation(
                projection.id, 1
            )
            found.append(Target(projection, projection.view(used)))
            if f"{projection.id}/next" in known:
                found.append(
                    Target(projection, projection.view(known[f"{projection.id}/next"]))
                )
        return found

    def advance(
        self, partitions: Sequence[int], targets: Sequence[Target] | None = None
    ) -> int:
        """Fold at most a batch of events of each partition; gives how many were folded, 0 when all is up to date."""
        chosen = self.targets() if targets is None else targets
        places = self._store.checkpoints([target.view for target in chosen], partitions)
        behind: dict[int, list[tuple[Target, int]]] = {}
        for partition, (head, checkpoints) in zip(partitions, places, strict=True):
            late = [
                (t, at)
                for t, at in zip(chosen, checkpoints, strict=True)
                if self._may(t, partition, at, head)
            ]
            if late:
                behind[partition] = late
        return self._carry_out(self._tasks(behind))

    def behind(self, partitions: Sequence[int], targets: Sequence[Target]) -> list[int]:
        """Return the partitions of which some view is not up to date, in one round trip for all of them."""
        places = self._store.checkpoints([t.view for t in targets], partitions)
        return [
            partition
            for partition, (head, checkpoints) in zip(partitions, places, strict=True)
            if min(checkpoints, default=head) < head
        ]

    def catch_up(
        self,
        partitions: Sequence[int],
        targets: Sequence[Target] | None = None,
        *,
        within_ms: float | None = None,
    ) -> int:
        """Fold until what was in the log at the beginning is in the views, but for those that raise.

        With `within_ms`, no longer than that; gives how many events are left.
        """
        chosen = self.targets() if targets is None else targets
        views, ends = (
            [target.view for target in chosen],
            None if within_ms is None else self._steady_ms() + within_ms,
        )
        places = self._store.checkpoints(views, partitions)
        goals = {
            p: head
            for p, (head, at) in zip(partitions, places, strict=True)
            if min(at, default=head) < head
        }
        while goals:
            self.advance(list(goals), chosen)
            found = zip(
                list(goals), self._store.checkpoints(views, list(goals)), strict=True
            )
            left = {p: self._left(chosen, p, goals[p], at) for p, (_, at) in found}
            if ends is not None and self._steady_ms() > ends:
                return sum(left.values())
            goals = {p: goals[p] for p, count in left.items() if count}
        return 0

    def _left(
        self,
        targets: Sequence[Target],
        partition: int,
        goal: int,
        checkpoints: Sequence[int],
    ) -> int:
        behind = [
            goal - at
            for t, at in zip(targets, checkpoints, strict=True)
            if self._may(t, partition, at, goal)
        ]
        return max(behind, default=0)

    def _may(self, target: Target, partition: int, checkpoint: int, head: int) -> bool:
        return checkpoint < head and self._steady_ms() >= self._stopped.get(
            (target.view, partition), 0.0
        )

    def _tasks(self, behind: Mapping[int, Sequence[tuple[Target, int]]]) -> list[_Task]:
        late = {
            target.projection.name: target.projection
            for targets in behind.values()
            for target, _ in targets
        }
        types: set[str] | None = set()
        for projection in late.values():
            types = (
                None
                if types is None or projection.types is None
                else types | projection.types
            )
        places = [
            (partition, min(at for _, at in targets))
            for partition, targets in behind.items()
        ]
        found = zip(
            behind.items(), self.log.read(places, self._batch, types), strict=True
        )
        return [
            _task(target, partition, at, events, to)
            for (partition, targets), (to, events) in found
            for target, at in targets
            if at < to
        ]

    def _carry_out(self, tasks: Sequence[_Task]) -> int:
        total, todo = 0, list(tasks)
        while todo:
            folded, todo = self._folded(todo)
            changes = [
                (task.target.view, task.partition, batch)
                for task, batch in folded
                if task.ahead
            ]
            saved = iter(self._store.save(changes))
            for task, batch in folded:
                done = next(saved) if task.ahead else True
                if done is None:
                    todo += self._narrowed(task)
                elif done:
                    total += batch.to - batch.after
                    if task.failure:
                        self._stop(task.failure)
        return total

    def _folded(
        self, tasks: Sequence[_Task]
    ) -> tuple[list[tuple[_Task, Batch]], list[_Task]]:
        """Fold, but where another process is at work; gives those to be done again, up to an event that raises, too."""
        folded, again = list[tuple[_Task, Batch]](), list[_Task]()
        wanted = [(task.target.view, task.partition, task.keys) for task in tasks]
        for task, loaded in zip(tasks, self._store.load(wanted), strict=True):
            if loaded.checkpoint != task.checkpoint:
                continue
            try:
                batch = fold(
                    task.target.projection,
                    task.target.view,
                    loaded,
                    task.pairs,
                    task.to,
                )
            except ProjectionFailed as raised:
                again.append(task.before(raised))
            else:
                folded.append((task, batch))
        return folded, again

    def _narrowed(self, task: _Task) -> list[_Task]:
        """Look for the event of which a count cannot be added: give half of the events, or stop at the last one."""
        pairs = task.pairs[: len(task.pairs) // 2]
        if pairs:
            return [
                _Task(
                    task.target,
                    task.partition,
                    task.checkpoint,
                    pairs,
                    pairs[-1][1].position.n,
                    None,
                )
            ]
        error = ValueError(
            f"it adds to a count that is no whole number, or is beyond {MOST} then"
        )
        failure = ProjectionFailed(task.target.view, task.pairs[0][1], error)
        return [task.before(failure)]

    def _stop(self, error: ProjectionFailed) -> None:
        """Let one view stand still in one partition, and say so."""
        event = error.event
        log.error("%s", error)
        self._stopped[error.view, event.position.partition] = (
            self._steady_ms() + AGAIN_MS
        )
        what = {
            "position": event.position.n,
            "run": event.stream,
            "version": event.version,
            "type": event.type,
            "error": masked(f"{type(error.error).__name__}: {error.error}"),
        }
        self._store.trouble(error.view, event.position.partition, what)

    def switch(self) -> list[str]:
        """Let readers use views that were built anew and have caught up with those in use; gives their names."""
        known, done = self._store.generations(), []
        everywhere = range(self.partitions)
        for projection in self.projections.values():
            used, following = (
                known.get(projection.id),
                known.get(f"{projection.id}/next"),
            )
            if used is None or following is None:
                continue
            old, new = projection.view(used), projection.view(following)
            places = self._store.checkpoints([old, new], everywhere)
            if all(at[1] >= min(at[0], head) for head, at in places):
                if self._store.switch_generation(projection.id, following):
                    done.append(new)
                self._store.drop(old, after_ms=KEEP_MS)
                if (
                    used > 1
                ):  # readers, or a process that died here, may have left something of it
                    self._store.drop(projection.view(used - 1), after_ms=KEEP_MS)
        return done
