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
    types, key_of, found = projection.types, projection.key, list[Keyed]()
    for event in events:
        if types is not None and event.type not in types:
            continue
        try:
            key = key_of(event)
            if key is not None and not isinstance(key, str):
                raise TypeError(f"the key must be a text or None, not {key!r}")
        except (
            Exception
        ) as error:  # whatever a user's function raises stops that projection alone
            failure = ProjectionFailed(view, event, error)
            failure.__cause__ = error
            return found, failure
        if key is not None:
            found.append((key, event))
    return found, None


def fold(
    projection: Projection, view: str, loaded: Loaded, pairs: Iterable[Keyed], to: int
) -> Batch:
    """Apply events, all of one partition and behind the checkpoint, and give what that changes; `to` is its new place.

    Documents of `loaded` may be changed on the way. Raises ProjectionFailed, with the event.
    """
    work = _Work(
        projection,
        view,
        loaded,
        Batch(loaded.checkpoint, to, loaded.next_ordinal, loaded.top_order),
    )
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
        projection, batch = self.projection, self.batch
        row = batch.rows.get(key) or (
            None if key in batch.removed else self.loaded.rows.get(key)
        )
        before = copy.deepcopy(projection.initial) if row is None else row.document
        try:
            if (
                key not in self.touched
                and row is not None
                and projection.index is not None
            ):
                self.facets[key] = facets_of(
                    _index(projection, row.document), row
                )  # what is given may be changed
            document = projection.apply(before, event)
            counted = document if isinstance(document, Counted) else None
            if counted is not None:
                document = counted.document
                _check(counted, batch)
            index = _index(projection, document)
        except (
            Exception
        ) as error:  # whatever a user's function raises stops that projection alone
            raise ProjectionFailed(self.view, event, error) from error
        self.touched[key] = event
        if document is None:
            self._remove(key, row)
        else:
            self._put(key, row, document, index)
        self.after[key] = facets_of(index, batch.rows.get(key))
        if counted is not None:
            self._count(counted)

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
            row = Row(key, None, batch.next_ordinal, batch.top_order)
            batch.fresh[batch.next_ordinal] = key
            batch.next_ordinal += 1
        batch.rows[key] = Row(key, document, row.ordinal, row.order)

    def finish(self) -> None:
        """Find out which facets have changed, and whether all documents are JSON."""
        projection, batch = self.projection, self.batch
        for key, event in self.touched.items():
            new, old = batch.rows.get(key), self.loaded.rows.get(key)
            if new is not None:
                try:
                    codec.encode(new.document)
                except NotJson as error:
                    raise ProjectionFailed(self.view, event, error) from error
            if projection.index is None:
                continue
            before, after = self.facets.get(key, frozenset()), self.after[key]
            if old and new and old.ordinal != new.ordinal:  # removed, and there again
                batch.members.update({(facet, old.ordinal): False for facet in before})
                before = frozenset()
            place = new or old
            if place is not None:
                batch.members.update(
                    {(facet, place.ordinal): False for facet in before - after}
                )
                batch.members.update(
                    {(facet, place.ordinal): True for facet in after - before}
                )


def _check(counted: Counted, batch: Batch) -> None:
    """Refuse what could not be stored, while the event that led to it is known.

    Raises TypeError and NotJson.
    """
    for name, delta in counted.counts.items():
        if type(delta) is not int:
            raise TypeError(
                f"the count of {name!r} must be a whole number, not {delta!r}"
            )
    said = (
        batch.values.keys()
        | batch.firsts.keys()
        | counted.values.keys()
        | counted.firsts.keys()
    )
    both = (batch.counts.keys() | counted.counts.keys()) & said
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
