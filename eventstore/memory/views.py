"""Read models in this process's memory: for tests, and to see what a fold of the log would come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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

    def load(self, requests: Sequence[tuple[str, int, Sequence[str]]]) -> list[Loaded]:
        """Read what folds begin with."""
        replies = []
        for name, partition, keys in requests:
            view = self._view(name, partition)
            rows = {row.key: row for row in _rows(view, keys)}
            replies.append(
                Loaded(
                    checkpoint=view.checkpoint,
                    next_ordinal=view.next_ordinal,
                    top_order=view.top_order,
                    rows=rows,
                )
            )
        return replies

    def save(self, changes: Sequence[tuple[str, int, Batch]]) -> list[bool | None]:
        """Store what folds came to."""
        return [
            self._save(self._view(view, partition), batch)
            for view, partition, batch in changes
        ]

    def _save(self, view: _View, batch: Batch) -> bool | None:
        # Who folded from another checkpoint would count events twice, or leave some out.
        if view.checkpoint != batch.after:
            return False
        for name, delta in batch.counts.items():
            count = view.tally.get(name, 0)
            if type(count) is not int or abs(count + delta) > MOST:
                return None
        self._save_rows(view, batch)
        self._save_tally(view, batch)
        self._save_members(view, batch)
        view.next_ordinal = batch.next_ordinal
        view.top_order = batch.top_order
        view.checkpoint = batch.to
        return True

    def _save_rows(self, view: _View, batch: Batch) -> None:
        for key, row in batch.rows.items():
            view.rows[key] = codec.encode([row.ordinal, row.order, row.document])
        for key in batch.removed:
            del view.rows[key]
        view.ids.update(batch.fresh)
        for ordinal in batch.gone:
            view.ids.pop(ordinal, None)

    def _save_tally(self, view: _View, batch: Batch) -> None:
        for name, delta in batch.counts.items():
            view.tally[name] = view.tally.get(name, 0) + delta
            if not view.tally[name]:
                del view.tally[name]
        view.tally.update(batch.values)
        view.tally = {**batch.firsts, **view.tally}

    def _save_members(self, view: _View, batch: Batch) -> None:
        for (facet, ordinal), present in batch.members.items():
            chunk = (facet_name(facet), ordinal // CHUNK)
            bit = 1 << (CHUNK - 1 - ordinal % CHUNK)
            bits = view.facets.get(chunk, 0)
            view.facets[chunk] = bits | bit if present else bits & ~bit

    def facets(
        self, view: str, requests: Sequence[tuple[int, int, Sequence[str]]]
    ) -> list[list[int]]:
        """Read sets of an index."""
        replies = []
        for partition, chunk, facets in requests:
            sets = self._view(view, partition).facets
            replies.append([sets.get((facet_name(name), chunk), 0) for name in facets])
        return replies

    def rows(
        self, view: str, requests: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[Row]]:
        """Read documents by ordinal."""
        replies = []
        for partition, ordinals in requests:
            part = self._view(view, partition)
            keys = [part.ids[ordinal] for ordinal in ordinals if ordinal in part.ids]
            replies.append(_rows(part, keys))
        return replies

    def seek(
        self, view: str, requests: Sequence[tuple[int, Sequence[int]]]
    ) -> list[list[int]]:
        """Return the first ordinals with at least some orders."""
        replies = []
        for partition, orders in requests:
            part = self._view(view, partition)
            firsts = [_first_ordinal(part, order) for order in orders]
            replies.append([*firsts, part.next_ordinal])
        return replies

    def get(self, view: str, requests: Sequence[tuple[int, str]]) -> list[Row | None]:
        """Read documents by key."""
        return [_row(self._view(view, partition), key) for partition, key in requests]

    def documents(self, view: str, partition: int) -> Iterator[Row]:
        """Read all documents of a partition."""
        part = self._view(view, partition)
        yield from _rows(part, part.rows)

    def tally(self, view: str, partitions: Sequence[int]) -> list[dict[str, Json]]:
        """Read the counts and values of partitions."""
        return [dict(self._view(view, partition).tally) for partition in partitions]

    def index_names(self, view: str) -> set[tuple[int, str, int]]:
        """Return every set of an index."""
        names: set[tuple[int, str, int]] = set()
        for (name, partition), part in self._views.items():
            if name != view:
                continue
            for (facet, chunk), bits in part.facets.items():
                if bits:
                    names.add((partition, facet, chunk))
        return names

    def trouble(self, view: str, partition: int, reason: Json) -> None:
        """Note why a view stands still in a partition."""
        self._view(view, partition).trouble = reason

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
        self._views = {key: part for key, part in self._views.items() if key[0] != view}


def _rows(view: _View, keys: Iterable[str]) -> list[Row]:
    """Return the documents that are there, of some keys."""
    rows = (_row(view, key) for key in keys)
    return [row for row in rows if row is not None]


def _first_ordinal(view: _View, order: int) -> int:
    for ordinal, key in sorted(view.ids.items()):
        row = _row(view, key)
        if row is not None and row.order >= order:
            return ordinal
    return view.next_ordinal


def _row(view: _View, key: str) -> Row | None:
    raw = view.rows.get(key)
    if raw is None:
        return None
    ordinal, order, document = codec.decode(raw)
    return Row(key, document, ordinal, order)
