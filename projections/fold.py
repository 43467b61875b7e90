"""From events to what they change in a view: pure, so that live runs, rebuilds and checks agree by construction."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field

from eventstore import codec
from eventstore.errors import NotJson
from eventstore.event import Json, Recorded
from eventstore.views import Batch, Loaded, Row
from projections.errors import ProjectionFailed
from projections.projection import NOTHING, Index, Projection


def wanted_keys(projection: Projection, events: Sequence[Recorded]) -> list[str]:
    """Give the keys of documents that events touch.

    Raises ProjectionFailed when the projection cannot name one.
    """
    keys: dict[str, None] = {}
    for event in events:
        key = _key(projection, event)
        if key is not None:
            keys[key] = None
    return list(keys)


def fold(projection: Projection, view: str, loaded: Loaded, events: Sequence[Recorded], to: int) -> Batch:
    """Apply events, all of one partition and behind the checkpoint, and give what that changes; `to` is its new place.

    Documents of `loaded` may be changed on the way. Raises ProjectionFailed, with the event.
    """
    work = _Work(projection, view, loaded, Batch(loaded.checkpoint, to, loaded.next_ordinal, loaded.top_order))
    for event in events:
        key = _key(projection, event, view)
        if key is not None:
            work.apply(key, event)
    work.finish()
    return work.batch


def _key(projection: Projection, event: Recorded, view: str = "") -> str | None:
    if projection.types is not None and event.type not in projection.types:
        return None
    try:
        return projection.key(event)
    except Exception as error:  # whatever a user's function raises stops that projection alone
        raise ProjectionFailed(view or projection.id, event, error) from error


@dataclass(slots=True)
class _Work:
    projection: Projection
    view: str
    loaded: Loaded
    batch: Batch
    facets: dict[str, frozenset[str]] = field(default_factory=dict)
    touched: dict[str, Recorded] = field(default_factory=dict)

    def apply(self, key: str, event: Recorded) -> None:
        """Apply one event to the document of a key."""
        projection, batch = self.projection, self.batch
        row = batch.rows.get(key) or (None if key in batch.removed else self.loaded.rows.get(key))
        before = copy.deepcopy(projection.initial) if row is None else row.document
        try:
            if key not in self.touched and row is not None and projection.index is not None:
                self.facets[key] = projection.index(row.document).facets  # the function may change what it is given
            document = projection.apply(before, event)
            index = projection.index(document) if projection.index and document is not None else None
            tally = projection.tally(before, event, document) if projection.tally else NOTHING
        except Exception as error:  # whatever a user's function raises stops that projection alone
            raise ProjectionFailed(self.view, event, error) from error
        self.touched[key] = event
        if document is None:
            self._remove(key, row)
        else:
            self._put(key, row, document, index)
        for name, delta in tally.counts.items():
            batch.counts[name] = batch.counts.get(name, 0) + delta
        batch.values.update(tally.values)
        for name, value in tally.firsts.items():
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

    def _put(self, key: str, row: Row | None, document: Json, index: Index | None) -> None:
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
            before = self.facets.get(key, frozenset())
            after = projection.index(new.document).facets if new else frozenset()
            if old and new and old.ordinal != new.ordinal:  # removed, and there again
                batch.members.update({(facet, old.ordinal): False for facet in before})
                before = frozenset()
            place = new or old
            if place is not None:
                batch.members.update({(facet, place.ordinal): False for facet in before - after})
                batch.members.update({(facet, place.ordinal): True for facet in after - before})
