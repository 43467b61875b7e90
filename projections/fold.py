"""From events to what they change in a view: pure, so that live runs, rebuilds and checks agree by construction."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from eventstore import codec
from eventstore.errors import NotJson
from eventstore.event import Json, Recorded
from eventstore.views import Batch, Loaded, Row
from projections.errors import ProjectionFailed
from projections.projection import EVERY, LATE, Counted, Index, Projection

Keyed = tuple[str, Recorded]
"""An event with the key of the document that it changes."""


def keyed(
    projection: Projection, view: str, events: Iterable[Recorded]
) -> tuple[list[Keyed], ProjectionFailed | None]:
    """Return the events that matter, with their keys; up to the first for which the projection cannot name one."""
    types = projection.types
    pairs: list[Keyed] = []
    for event in events:
        if types is not None and event.type not in types:
            continue
        try:
            key = _key(projection, event)
        except Exception as error:
            # Whatever a user's function raises stops that projection alone.
            failure = ProjectionFailed(view, event, error)
            failure.__cause__ = error
            return pairs, failure
        if key is not None:
            pairs.append((key, event))
    return pairs, None


def _key(projection: Projection, event: Recorded) -> str | None:
    key: Any = projection.key(event)
    if key is not None and not isinstance(key, str):
        raise TypeError(f"the key must be a text or None, not {key!r}")
    return key


def fold(
    projection: Projection, view: str, loaded: Loaded, pairs: Iterable[Keyed], to: int
) -> Batch:
    """Apply events, all of one partition and behind the checkpoint, and give what that changes; `to` is its new place.

    Documents of `loaded` may be changed on the way. Raises ProjectionFailed, with the event.
    """
    batch = Batch(
        after=loaded.checkpoint,
        to=to,
        next_ordinal=loaded.next_ordinal,
        top_order=loaded.top_order,
    )
    work = _Work(projection, view, loaded, batch)
    for key, event in pairs:
        work.apply(key, event)
    work.finish()
    return work.batch


@dataclass(slots=True)
class _Work:
    projection: Projection
    view: str
    loaded: Loaded
    batch: Batch
    facets: dict[str, frozenset[str]] = field(default_factory=dict)
    after: dict[str, frozenset[str]] = field(default_factory=dict)
    touched: dict[str, Recorded] = field(default_factory=dict)

    def apply(self, key: str, event: Recorded) -> None:
        """Apply one event to the document of a key."""
        row = self._row(key)
        try:
            applied = self._applied(key, event, row)
            index = _index(self.projection, applied.document)
        except Exception as error:
            # Whatever a user's function raises stops that projection alone.
            raise ProjectionFailed(self.view, event, error) from error
        self.touched[key] = event
        if applied.document is None:
            self._remove(key, row)
        else:
            self._put(key, row, applied.document, index)
        self.after[key] = facets_of(index, self.batch.rows.get(key))
        self._count(applied)

    def _row(self, key: str) -> Row | None:
        row = self.batch.rows.get(key)
        if row is not None:
            return row
        if key in self.batch.removed:
            return None
        return self.loaded.rows.get(key)

    def _applied(self, key: str, event: Recorded, row: Row | None) -> Counted:
        """Call the user's functions, and refuse what they return where it could not be stored."""
        projection = self.projection
        before = copy.deepcopy(projection.initial) if row is None else row.document
        # Before the event is applied: what is given to the function may be changed by it.
        if row is not None and key not in self.touched:
            self.facets[key] = facets_of(_index(projection, row.document), row)
        result = projection.apply(before, event)
        if not isinstance(result, Counted):
            return Counted(result)
        _check(result, self.batch)
        return result

    def _count(self, counted: Counted) -> None:
        batch = self.batch
        for name, delta in counted.counts.items():
            batch.counts[name] = batch.counts.get(name, 0) + delta
        batch.values.update(counted.values)
        for name, value in counted.firsts.items():
            batch.firsts.setdefault(name, value)

    def _remove(self, key: str, row: Row | None) -> None:
        batch = self.batch
        if row is None:
            return
        batch.rows.pop(key, None)
        if batch.fresh.pop(row.ordinal, None) is None and row.ordinal >= 0:
            batch.gone[row.ordinal] = None
        if key in self.loaded.rows:
            batch.removed[key] = None

    def _put(
        self, key: str, row: Row | None, document: Json, index: Index | None
    ) -> None:
        batch = self.batch
        batch.removed.pop(key, None)
        if index is None:
            batch.rows[key] = Row(key, document)
            return
        if row is None:
            batch.top_order = max(batch.top_order, index.order)
            row = Row(
                key=key,
                document=None,
                ordinal=batch.next_ordinal,
                order=batch.top_order,
            )
            batch.fresh[batch.next_ordinal] = key
            batch.next_ordinal += 1
        batch.rows[key] = Row(key, document, row.ordinal, row.order)

    def finish(self) -> None:
        """Find out which facets have changed, and whether all documents are JSON."""
        for key, event in self.touched.items():
            row = self.batch.rows.get(key)
            if row is not None:
                try:
                    codec.encode(row.document)
                except NotJson as error:
                    raise ProjectionFailed(self.view, event, error) from error
            if self.projection.index is not None:
                self._change_members(key, row)

    def _change_members(self, key: str, new: Row | None) -> None:
        old = self.loaded.rows.get(key)
        before = self.facets.get(key, frozenset())
        after = self.after[key]
        # Removed, and there again: all that was said of the old ordinal goes.
        if old and new and old.ordinal != new.ordinal:
            self._set_members(before, old.ordinal, False)
            before = frozenset()
        current = new or old
        if current is not None:
            self._set_members(before - after, current.ordinal, False)
            self._set_members(after - before, current.ordinal, True)

    def _set_members(
        self, facets: Iterable[str], ordinal: int, is_member: bool
    ) -> None:
        for facet in facets:
            self.batch.members[facet, ordinal] = is_member


def _check(counted: Counted, batch: Batch) -> None:
    """Refuse what could not be stored, while the event that led to it is known.

    Raises TypeError and NotJson.
    """
    for name, delta in counted.counts.items():
        if type(delta) is not int:
            raise TypeError(
                f"the count of {name!r} must be a whole number, not {delta!r}"
            )
    value_names = (
        batch.values.keys()
        | batch.firsts.keys()
        | counted.values.keys()
        | counted.firsts.keys()
    )
    both = (batch.counts.keys() | counted.counts.keys()) & value_names
    if both:
        raise TypeError(f"{min(both)!r} cannot be a count and a value")
    codec.encode([dict(counted.counts), dict(counted.values), dict(counted.firsts)])


def _index(projection: Projection, document: Json) -> Index | None:
    """Return how a document is found, None where it is not.

    Raises TypeError when the projection says something else.
    """
    if projection.index is None or document is None:
        return None
    index: Any = projection.index(document)
    if not isinstance(index, Index) or type(index.order) is not int:
        raise TypeError(
            f"the index must be an Index with a whole number for its order, not {index!r}"
        )
    if not all(isinstance(facet, str) for facet in index.facets):
        raise TypeError(f"facets must be texts, not {index.facets!r}")
    return index


def facets_of(index: Index | None, row: Row | None) -> frozenset[str]:
    """Return what a document is found by; all of them by one facet, so that those that are no more are not counted."""
    if index is None or row is None:
        return frozenset()
    return index.facets | ({EVERY, LATE} if index.order < row.order else {EVERY})
