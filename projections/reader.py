"""Reading views: always what is in the log by now, and from whichever generation is in use."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventstore.errors import StoreReadOnly
from eventstore.event import Json
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.views import Row, ViewStore
from projections.errors import UnknownProjection, ViewBehind
from projections.projection import Projection
from projections.runner import Runner, Target
from projections.search import Page, Query, count, search

if TYPE_CHECKING:
    from projections.verify import Drift

log = logging.getLogger(__name__)

Rebuilding = Callable[[str], AbstractContextManager[ViewStore]]

PATIENCE_MS = 10_000
"""How long a reader helps a view along that is behind."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a projection stands: `lag` is in events, `trouble` says by partition why it, or the new one, stands still."""

    name: str
    version: int
    generation: int
    lag: int
    rebuilding: int | None
    rebuild_lag: int
    trouble: dict[int, Json]


class Views:
    """The views of a store, for readers; safe for threads."""

    def __init__(
        self,
        runner: Runner,
        store: ViewStore,
        left: Callable[[Sequence[int]], list[int]] = lambda _: [],
        rebuilding: Rebuilding | None = None,
    ) -> None:
        """Read views; `left` gives those of some partitions that runs have left.

        `rebuilding` gives the store of views to who builds a projection anew, by its id; one process at a time.
        """
        self._runner = runner
        self._store = store
        self._left = left
        self._rebuilding = rebuilding or (lambda _: nullcontext(store))
        # A runner is not for several threads at a time, and readers help views along on their own threads.
        self._lock = ForkSafeLock()

    def names(self) -> list[str]:
        """Return the names of the projections."""
        return list(self._runner.projections)

    def projection(self, name: str) -> Projection:
        """Return a projection.

        Raises UnknownProjection.
        """
        if name not in self._runner.projections:
            raise UnknownProjection(name, self._runner.projections)
        return self._runner.projections[name]

    def current(self, name: str, *, stale: bool = False) -> str:
        """Return the view in use, after whatever is in the log by now has come into it, unless `stale` will do.

        A server that cannot write to its disk is read as it is, with a note in the program's log.

        Raises UnknownProjection and ViewBehind.
        """
        projection = self.projection(name)
        used = self._used(projection)
        view = projection.view(used)
        if stale:
            return view
        events_behind = self._behind(Target(projection, view))
        if events_behind:
            raise ViewBehind(name, events_behind)
        return view

    def _used(self, projection: Projection) -> int:
        """Return the generation of a view that readers use; the first one begins when somebody reads it."""
        used = self._store.generations().get(projection.id)
        try:
            return used or self._store.begin_generation(projection.id, 1)
        except StoreReadOnly:
            return 1

    def _behind(self, target: Target) -> int:
        """Bring a view up to date, and give how many events could not be folded in time."""
        try:
            with self._lock:
                return self._runner.catch_up(
                    self._everywhere(target.projection),
                    [target],
                    within_ms=PATIENCE_MS,
                )
        except StoreReadOnly as error:
            log.warning("the view %s may be behind the log: %s", target.view, error)
            return 0

    def _everywhere(self, projection: Projection) -> Sequence[int]:
        return projection.partitions(self._runner.partitions)

    def search(self, name: str, query: Query, *, stale: bool = False) -> Page:
        """Return a page of a view's documents.

        Raises UnknownProjection, ViewBehind and InvalidQuery.
        """
        return search(
            self._store, self.current(name, stale=stale), self._runner.partitions, query
        )

    def count(self, name: str, query: Query, *, stale: bool = False) -> int:
        """Count a view's documents.

        Raises UnknownProjection, ViewBehind and InvalidQuery.
        """
        return count(
            self._store, self.current(name, stale=stale), self._runner.partitions, query
        )

    def get(self, name: str, key: str, *, stale: bool = False) -> list[Json]:
        """Return the documents under a key, at most one of each partition.

        Raises UnknownProjection and ViewBehind.
        """
        view = self.current(name, stale=stale)
        partitions = self._everywhere(self.projection(name))
        rows = self._store.get(view, [(p, key) for p in partitions])
        return [row.document for row in rows if row is not None]

    def documents(
        self, name: str, *, partition: int | None = None, stale: bool = False
    ) -> Iterator[Row]:
        """Return all documents of a view, those of a partition together, or those of one partition alone.

        Raises UnknownProjection and ViewBehind.
        """
        view = self.current(name, stale=stale)
        partitions = self._everywhere(self.projection(name))
        if partition is not None:
            partitions = [number for number in partitions if number == partition]
        for number in partitions:
            yield from self._store.documents(view, number)

    def tallies(self, name: str, *, stale: bool = False) -> list[dict[str, Json]]:
        """Return the counts and values of a view, of each partition.

        Raises UnknownProjection and ViewBehind.
        """
        return self._store.tally(
            self.current(name, stale=stale), range(self._runner.partitions)
        )

    def status(self) -> list[Status]:
        """Tell how all projections stand."""
        generations = self._store.generations()
        return [
            self._status(
                projection,
                generations.get(projection.id, 1),
                generations.get(f"{projection.id}/next"),
            )
            for projection in self._runner.projections.values()
        ]

    def _status(
        self, projection: Projection, used: int, following: int | None
    ) -> Status:
        everywhere = self._everywhere(projection)
        views = [projection.view(used), projection.view(following or used)]
        states = self._store.checkpoints(views, everywhere)
        lag = sum(head - checkpoint for head, (checkpoint, _) in states)
        rebuild_lag = sum(head - checkpoint for head, (_, checkpoint) in states)
        of_used, of_following = (self._store.troubles(x, everywhere) for x in views)
        troubles = {p: of_used[p] or of_following[p] for p in everywhere}
        return Status(
            name=projection.name,
            version=projection.version,
            generation=used,
            lag=lag,
            rebuilding=following,
            rebuild_lag=rebuild_lag if following else 0,
            trouble={p: trouble for p, trouble in troubles.items() if trouble},
        )

    def rebuild(self, name: str) -> int:
        """Begin to build a view anew beside the one in use, and give its generation; workers go on with it.

        Raises UnknownProjection, LockTaken when another builds it, and LockLost.
        """
        projection = self.projection(name)
        self._used(projection)
        with self._rebuilding(projection.id) as store:
            # Under the lease: who was paused here would begin what is in use by then, and that would be dropped later.
            used = store.generations().get(projection.id, 1)
            return store.begin_generation(f"{projection.id}/next", used + 1)

    def finish_rebuild(self, name: str) -> bool:
        """Build a begun generation to its end on this thread, and let readers use it; False when there is none.

        Raises UnknownProjection, LockTaken when another builds it, and LockLost.
        """
        projection = self.projection(name)
        # The lease first: who waits for it keeps no readers of this process waiting.
        with self._rebuilding(projection.id) as store, self._lock:
            return self._built(projection, store)

    def _built(self, projection: Projection, store: ViewStore) -> bool:
        following = store.generations().get(f"{projection.id}/next")
        if following is None:
            return False
        target = Target(projection, projection.view(following))
        everywhere = self._everywhere(projection)
        runner = self._runner.writing_to(store)
        while store.generations().get(f"{projection.id}/next") == following:
            runner.catch_up(everywhere, [target])
            if runner.switch(projection):
                return True
            if any(store.troubles(target.view, everywhere)):
                return False
        return True

    def verify(self, name: str) -> list[Drift]:
        """Compare a view with a fold of the whole log; gives what differs.

        Raises UnknownProjection, and TooFast when the log moves too fast for it.
        """
        from projections.verify import verify  # for who compares

        projection = self.projection(name)
        view = self.current(name, stale=True)
        with self._lock:
            return verify(
                store=self._store,
                projection=projection,
                view=view,
                runner=self._runner,
                left=self.left(),
            )

    def replaced(self) -> list[str]:
        """Return the views that others were built to replace: nobody waits for them, whoever still writes to them."""
        generations = self._store.generations()
        in_use = {name: used for name, used in generations.items() if "/" not in name}
        return [f"{name}.{i}" for name, used in in_use.items() for i in range(1, used)]

    def left(self) -> list[int]:
        """Return the partitions that runs have left, archived or deleted: sums of views count those runs too."""
        return self._left(range(self._runner.partitions))
