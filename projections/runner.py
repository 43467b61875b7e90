"""The runner: folds what has come into a partition's log and stores view and checkpoint in one atomic step.

Any number of processes may run the same projections: a batch is refused when another process was faster, so each event
is in each view exactly once, whoever dies where.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
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
        positions: Sequence[tuple[int, int]],
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
        pairs = [(key, event) for key, event in self.pairs if event.position.n < bound]
        return replace(self, pairs=pairs, to=bound - 1, failure=failure)


def _task(
    target: Target, partition: int, checkpoint: int, events: Iterable[Recorded], to: int
) -> _Task:
    later = (event for event in events if event.position.n > checkpoint)
    pairs, failure = keyed(target.projection, target.view, later)
    if failure is not None:
        to = failure.event.position.n - 1
    return _Task(
        target=target,
        partition=partition,
        checkpoint=checkpoint,
        pairs=pairs,
        to=to,
        failure=failure,
    )


def _types(targets: Iterable[Target]) -> set[str] | None:
    """Return the types of events that matter to any of the projections, None when one looks at all."""
    types: set[str] = set()
    for target in targets:
        if target.projection.types is None:
            return None
        types |= target.projection.types
    return types


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
        self.partitions = partitions
        self.log = log
        self._store = store
        self._batch = batch
        self._steady_ms = steady_ms
        self._stopped: dict[tuple[str, int], float] = {}

    def targets(self) -> list[Target]:
        """Return the views to keep: of each projection the one in use, and the one being built."""
        generations = self._store.generations()
        targets = []
        for projection in self.projections.values():
            used = generations.get(projection.id)
            if not used:
                used = self._store.begin_generation(projection.id, 1)
            targets.append(Target(projection, projection.view(used)))
            following = generations.get(f"{projection.id}/next")
            if following is not None:
                targets.append(Target(projection, projection.view(following)))
        return targets

    def advance(
        self, partitions: Sequence[int], targets: Sequence[Target] | None = None
    ) -> int:
        """Fold at most a batch of events of each partition; gives how many were folded, 0 when all is up to date."""
        chosen = self.targets() if targets is None else targets
        states = self._states(chosen, partitions)
        behind: dict[int, list[tuple[Target, int]]] = {}
        for partition, (head, checkpoints) in zip(partitions, states, strict=True):
            late = self._late(chosen, partition, checkpoints, head)
            if late:
                behind[partition] = late
        return self._carry_out(self._tasks(behind))

    def behind(self, partitions: Sequence[int], targets: Sequence[Target]) -> list[int]:
        """Return the partitions of which some view is not up to date, in one round trip for all of them."""
        states = self._states(targets, partitions)
        return [
            partition
            for partition, (head, checkpoints) in zip(partitions, states, strict=True)
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
        ends = None if within_ms is None else self._steady_ms() + within_ms
        states = self._states(chosen, partitions)
        # The heads of the beginning: what comes in while this runs is not waited for, so that it ends.
        goals = {
            partition: head
            for partition, (head, checkpoints) in zip(partitions, states, strict=True)
            if min(checkpoints, default=head) < head
        }
        while goals:
            self.advance(list(goals), chosen)
            states = self._states(chosen, list(goals))
            remaining = {
                partition: self._events_behind(chosen, partition, checkpoints, goal)
                for (partition, goal), (_, checkpoints) in zip(
                    goals.items(), states, strict=True
                )
            }
            if ends is not None and self._steady_ms() > ends:
                return sum(remaining.values())
            goals = {p: goal for p, goal in goals.items() if remaining[p]}
        return 0

    def _states(
        self, targets: Sequence[Target], partitions: Sequence[int]
    ) -> list[tuple[int, list[int]]]:
        """Return heads and checkpoints of partitions; where nothing matters to a view, it is at the head."""
        views = [target.view for target in targets]
        homes = [target.projection.partitions(self.partitions) for target in targets]
        states = self._store.checkpoints(views, partitions)
        return [
            (head, _at_home(homes, partition, head, checkpoints))
            for partition, (head, checkpoints) in zip(partitions, states, strict=True)
        ]

    def _events_behind(
        self,
        targets: Sequence[Target],
        partition: int,
        checkpoints: Sequence[int],
        goal: int,
    ) -> int:
        late = self._late(targets, partition, checkpoints, goal)
        return max((goal - checkpoint for _, checkpoint in late), default=0)

    def _late(
        self,
        targets: Sequence[Target],
        partition: int,
        checkpoints: Sequence[int],
        head: int,
    ) -> list[tuple[Target, int]]:
        """Return the views that are behind and do not stand still, with their checkpoints."""
        return [
            (target, checkpoint)
            for target, checkpoint in zip(targets, checkpoints, strict=True)
            if checkpoint < head and not self._stands_still(target, partition)
        ]

    def _stands_still(self, target: Target, partition: int) -> bool:
        """Tell whether an event that a projection raised on is not to be tried again yet."""
        again_at = self._stopped.get((target.view, partition), 0.0)
        return self._steady_ms() < again_at

    def _tasks(self, behind: Mapping[int, Sequence[tuple[Target, int]]]) -> list[_Task]:
        targets = [target for late in behind.values() for target, _ in late]
        positions = [
            (partition, min(checkpoint for _, checkpoint in late))
            for partition, late in behind.items()
        ]
        batches = self.log.read(positions, self._batch, _types(targets))
        return [
            _task(target, partition, checkpoint, events, to)
            for (partition, late), (to, events) in zip(
                behind.items(), batches, strict=True
            )
            for target, checkpoint in late
            if checkpoint < to
        ]

    def _carry_out(self, tasks: Sequence[_Task]) -> int:
        total = 0
        todo = list(tasks)
        while todo:
            folded, todo = self._folded(todo)
            ahead = [(task, batch) for task, batch in folded if task.ahead]
            changes = [
                (task.target.view, task.partition, batch) for task, batch in ahead
            ]
            for (task, batch), saved in zip(
                ahead, self._store.save(changes), strict=True
            ):
                if saved is None:
                    todo += self._narrowed(task)
                elif saved:
                    total += batch.to - batch.after
                    self._stop(task.failure)
            # A view whose next event raises has nothing to store, and stands still all the same.
            for task, _ in folded:
                if not task.ahead:
                    self._stop(task.failure)
        return total

    def _folded(
        self, tasks: Sequence[_Task]
    ) -> tuple[list[tuple[_Task, Batch]], list[_Task]]:
        """Fold, but where another process is at work; gives those to be done again, up to an event that raises, too."""
        folded: list[tuple[_Task, Batch]] = []
        again: list[_Task] = []
        keys = [(task.target.view, task.partition, task.keys) for task in tasks]
        for task, loaded in zip(tasks, self._store.load(keys), strict=True):
            # Another process has folded these events between the look at the checkpoint and this one.
            if loaded.checkpoint != task.checkpoint:
                continue
            target = task.target
            try:
                batch = fold(
                    projection=target.projection,
                    view=target.view,
                    loaded=loaded,
                    pairs=task.pairs,
                    to=task.to,
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
            _, last_event = pairs[-1]
            to = last_event.position.n
            return [replace(task, pairs=pairs, to=to, failure=None)]
        error = ValueError(
            f"it adds to a count that is no whole number, or is beyond {MOST} then"
        )
        failure = ProjectionFailed(task.target.view, task.pairs[0][1], error)
        return [task.before(failure)]

    def _stop(self, error: ProjectionFailed | None) -> None:
        """Let one view stand still in one partition, and say so, if an event was raised on."""
        if error is None:
            return
        event = error.event
        log.error("%s", error)
        again_at = self._steady_ms() + AGAIN_MS
        self._stopped[error.view, event.position.partition] = again_at
        trouble = {
            "position": event.position.n,
            "run": event.stream,
            "version": event.version,
            "type": event.type,
            "error": masked(f"{type(error.error).__name__}: {error.error}"),
        }
        self._store.trouble(error.view, event.position.partition, trouble)

    def writing_to(self, store: ViewStore) -> Runner:
        """Return this runner with another way to the same views."""
        other = copy(self)
        other._store = store
        return other

    def built(self) -> list[Projection]:
        """Return the projections whose view was built anew and has caught up with the one in use."""
        generations = self._store.generations()
        return [
            projection
            for projection in self.projections.values()
            if self._successor(projection, generations) is not None
        ]

    def _successor(
        self, projection: Projection, generations: Mapping[str, int]
    ) -> tuple[int, int] | None:
        """Return the generation in use and the one that can take its place; None while there is none."""
        used = generations.get(projection.id)
        following = generations.get(f"{projection.id}/next")
        if used is None or following is None:
            return None
        old = projection.view(used)
        new = projection.view(following)
        if self._has_caught_up(new, old, projection):
            return used, following
        return None

    def switch(self, projection: Projection) -> bool:
        """Let readers use a view that was built anew and has caught up; for who has the lease of that."""
        successor = self._successor(projection, self._store.generations())
        if successor is None:
            return False
        used, following = successor
        # First the switch, then the old view goes, and not at once: readers may have begun with it.
        is_switched = self._store.switch_generation(projection.id, following)
        self._store.drop(projection.view(used), after_ms=KEEP_MS)
        # Readers, or a process that died here, may have left something of the one before.
        if used > 1:
            self._store.drop(projection.view(used - 1), after_ms=KEEP_MS)
        return is_switched

    def _has_caught_up(self, new: str, old: str, projection: Projection) -> bool:
        partitions = projection.partitions(self.partitions)
        states = self._store.checkpoints([old, new], partitions)
        return all(
            new_checkpoint >= min(old_checkpoint, head)
            for head, (old_checkpoint, new_checkpoint) in states
        )


def _at_home(
    homes: Sequence[Sequence[int]],
    partition: int,
    head: int,
    checkpoints: Sequence[int],
) -> list[int]:
    """Return the checkpoints of views in a partition; those of views that are at home elsewhere are at its head."""
    return [
        checkpoint if partition in home else head
        for home, checkpoint in zip(homes, checkpoints, strict=True)
    ]
