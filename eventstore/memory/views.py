"""Read models in this process's memory: for tests, and to see what a fold of the log would come to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from eventstore import codec
from eventstore.event import Json
from eventstore.views import CHUNK, MOST, Batch, Loaded, Row, facet_name


@dataclass(slots=True)
class _View:
    checkpoint: int = 0
    next_ordinal: int = 0
    top_order: int = 0
    rows: dict[str, bytes] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    facets: dict[tuple[str, int], int] = field(default_factory=dict)
    tally: dict[str, Json] = field(default_factory=dict)
    trouble: Json = None


class MemoryViewStore:
    """Views in memory, for one thread; `head` gives the position of the newest event of a partition."""

    def __init__(self, head: Callable[[int], int]) -> None:
        self._head = head
        self._views: dict[tuple[str, int], _View] = {}
        self._generations: dict[str, int] = {}

    def _view(self, view: str, partition: int) -> _View:
        return self._views.setdefault((view, partition), _View())

    def checkpoints(
        self, views: Sequence[str], partitions: Sequence[int]
    ) -> list[tuple[int, list[int]]]:
        """Return the position of each partition's newest event, and the checkpoint of each view."""
        return [
            (self._head(p), [self._view(view, p).checkpoint for view in views])
            for p in partitions
        ]

    def load(self, wanted: Sequence[tuple[str, int, Sequence[str]]]) -> list[Loaded]:
        """Read what folds begin with."""
        out = []
        for view, partition, keys in wanted:
            found = self._view(view, partition)
            rows = {key: row for key in keys if (row := _row(found, key)) is not None}
            out.append(
                Loaded(found.checkpoint, found.next_ordinal, found.top_order, rows)
            )
        return out

    def save(self, changes: Sequence[tuple[str, int, Batch]]) -> list[bool | None]:
        """Store what folds came to."""
        return [
            self._save(self._view(view, partition), batch)
            for view, partition, batch in changes
        ]

    def _save(self, view: _View, batch: Batch) -> bool | None:
        if view.checkpoint != batch.after:
            return False
        for name, delta in batch.counts.items():
            known = view.tally.get(name, 0)
            if type(known) is not int or abs(known + delta) > MOST:
                return None
        view.rows.update(
            {
                k: codec.encode([r.ordinal, r.order, r.document])
                for k, r in batch.rows.items()
            }
        )
        for key in batch.removed:
            del view.rows[key]
        for name, delta in batch.counts.items():
            view.tally[name] = view.tally.get(name, 0) + delta
            if not view.tally[name]:
                del view.tally[name]
        view.tally.update(batch.values)
        view.tally = {**batch.firsts, **view.tally}
        view.ids.update(batch.fresh)
        for ordinal in batch.gone:
            view.ids.pop(ordinal, None)
        for (facet, ordinal), present in batch.members.items():
            place, bit = (
                (facet_name(facet), ordinal // CHUNK),
                1 << (CHUNK - 1 - ordinal % CHUNK),
            )
            bits = view.facets.get(place, 0)
            view.facets[place] = bits | bit if present else bits & ~bit
        view.next_ordinal, view.top_order, view.checkpoint = (
            batch.next_ordinal,
            batch.top_order,
            batch.to,
        )
        return True

    def facets(
        self, view: str, wanted: Sequence[tuple[int, int, Sequence[str]]]
    ) -> list[list[int]]:
        """Read sets of an index."""
        return [
            [
                self._view(view, p).facets.get((facet_name(facet), chunk), 0)
                for facet in facets
            ]
            for p, chunk, facets in wanted
        ]

    def rows(
        self, view: str, wanted: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[Row]]:
        """Read documents by ordinal."""
        out = []
        for partition, ordinals in wanted:
            found = self._view(view, partition)
            rows = [
                _row(found, found.ids[ordinal])
                for ordinal in ordinals
                if ordinal in found.ids
            ]
            out.append([row for row in rows if row is not None])
        return out

    def seek(
        self, view: str, wanted: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[int]]:
        """Return the first ordinals with at least some orders."""
        out = []
        for partition, orders in wanted:
            found = self._view(view, partition)
            known = [
                (o, row.order)
                for o, key in sorted(found.ids.items())
                if (row := _row(found, key)) is not None
            ]
            firsts = [
                next((o for o, at in known if at >= order), found.next_ordinal)
                for order in orders
            ]
            out.append([*firsts, found.next_ordinal])
        return out

    def get(self, view: str, wanted: Sequence[tuple[int, str]]) -> list[Row | None]:
        """Read documents by key."""
        return [_row(self._view(view, partition), key) for partition, key in wanted]

    def documents(self, view: str, partition: int) -> Iterator[Row]:
        """Read all documents of a partition."""
        found = self._view(view, partition)
        yield from [row for key in found.rows if (row := _row(found, key)) is not None]

    def tally(self, view: str, partitions: Sequence[int]) -> list[dict[str, Json]]:
        """Read the counts and values of partitions."""
        return [dict(self._view(view, partition).tally) for partition in partitions]

    def index_names(self, view: str) -> set[tuple[int, str, int]]:
        """Return every set of an index."""
        mine = [
            (place[1], found)
            for place, found in self._views.items()
            if place[0] == view
        ]
        return {
            (p, facet, chunk)
            for p, found in mine
            for (facet, chunk), bits in found.facets.items()
            if bits
        }

    def trouble(self, view: str, partition: int, what: Json) -> None:
        """Note why a view stands still in a partition."""
        self._view(view, partition).trouble = what

    def troubles(self, view: str, partitions: Sequence[int]) -> list[Json]:
        """Read why a view stands still."""
        return [self._view(view, partition).trouble for partition in partitions]

    def generations(self) -> dict[str, int]:
        """Return the generations in use and being built."""
        return dict(self._generations)

    def begin_generation(self, name: str, generation: int) -> int:
        """Enter a generation unless there is one."""
        return self._generations.setdefault(name, generation)

    def switch_generation(self, projection: str, generation: int) -> bool:
        """Let readers use the generation that was being built."""
        if self._generations.get(f"{projection}/next") != generation:
            return False
        self._generations[projection] = self._generations.pop(f"{projection}/next")
        return True

    def drop(self, view: str, *, after_ms: int = 0) -> None:  # noqa: ARG002
        """Remove a view from all partitions, at once."""
        for place in [place for place in self._views if place[0] == view]:
            del self._views[place]


def _row(view: _View, key: str) -> Row | None:
    raw = view.rows.get(key)
    if raw is None:
        return None
    ordinal, order, document = codec.decode(raw)
    return Row(key, document, ordinal, order)
