"""Searching a view: any combination of facets and ranges, newest first, in pages that do not shift."""

from __future__ import annotations

import base64
import heapq
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.event import Json
from eventstore.views import CHUNK, Row, ViewStore
from projections.bitmaps import between, falling
from projections.errors import InvalidQuery
from projections.projection import EVERY, LATE

_MOST: Final = 500
"""How many documents are read at a time."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is wanted: one of each group in `facets`, none of `without`, an order from `since` on and below `until`.

    `where` looks at the documents that are left. `after` is the `next` of the page before. Documents that came in late
    stand behind their own order; with `order_of`, which gives that, they are found by it all the same.
    """

    facets: tuple[tuple[str, ...], ...] = ()
    without: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    where: Callable[[Any], bool] | None = None
    limit: int = 50
    after: str = ""
    order_of: Callable[[Any], int] | None = None

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise InvalidQuery(f"a page has room for 1 or more, not {self.limit}")

    @property
    def minds_late(self) -> bool:
        """Tell whether documents that came in late have to be looked at."""
        return self.order_of is not None and not (self.since is self.until is None)


@dataclass(frozen=True, slots=True)
class Found:
    """A document that was found, and the partition that it is in."""

    key: str
    document: Json
    order: int
    partition: int
    ordinal: int

    @property
    def sort_key(self) -> tuple[int, int, int]:
        """Return what the documents of all partitions are sorted by, falling."""
        return (self.order, self.partition, self.ordinal)

    @property
    def cursor(self) -> str:
        """Return what continues behind this document."""
        text = json.dumps(self.sort_key)
        encoded = base64.urlsafe_b64encode(text.encode()).decode()
        return encoded.rstrip("=")


@dataclass(frozen=True, slots=True)
class Page:
    """Some documents; `next` continues behind them, empty when these are the last.

    When a view was built anew between two pages, and others had left it, those of the last order come once more.
    """

    items: tuple[Found, ...]
    next: str


def search(store: ViewStore, view: str, partitions: int, query: Query) -> Page:
    """Return a page of documents.

    Raises InvalidQuery when `after` is not the `next` of a page.
    """
    scans = _scans(store, view, partitions, query)
    items: list[Found] = []
    size = max(2, query.limit // partitions + 2)
    _fill(store, view, query, scans, size)
    heap = [(_falling(scan), scan) for scan in scans if scan.buffer]
    heapq.heapify(heap)
    while heap and len(items) < query.limit:
        _, newest = heapq.heappop(heap)
        items.append(newest.buffer.pop(0))
        if not newest.buffer:
            _fill(store, view, query, [newest], size * 4)
        if newest.buffer:
            heapq.heappush(heap, (_falling(newest), newest))
    has_more = heap and items
    return Page(tuple(items), items[-1].cursor if has_more else "")


def _falling(scan: _Scan) -> tuple[int, ...]:
    return tuple(-part for part in scan.buffer[0].sort_key)


def count(store: ViewStore, view: str, partitions: int, query: Query) -> int:
    """Count the documents that fit, whatever page.

    Raises InvalidQuery when the query looks into documents, which an index cannot count.
    """
    if query.where is not None:
        raise InvalidQuery(
            "only facets and times can be counted, not what is inside of documents"
        )
    scans = _scans(store, view, partitions, query)
    chunks = [(scan, chunk) for scan in scans for chunk in scan.chunks()]
    names = _names(query)
    facet_sets = store.facets(
        view, [(scan.partition, chunk, names) for scan, chunk in chunks]
    )
    total = 0
    late_batches: list[tuple[int, list[int]]] = []
    for (scan, chunk), bits in zip(chunks, facet_sets, strict=True):
        fits = scan.among(chunk, query, bits)
        late = 0
        if query.minds_late:
            late = bits[-1] & fits
        total += (fits & ~late).bit_count()
        for ordinals in _batches(falling(late, chunk)):
            late_batches.append((scan.partition, ordinals))
    # Documents that came in late stand behind their own order: only by looking at them is it known whether they fit.
    for batch in late_batches:
        [rows] = store.rows(view, [batch])
        total += sum(_fits(query, row) for row in rows)
    return total


def _batches(ordinals: Iterator[int]) -> Iterator[list[int]]:
    """Return ordinals, no more at a time than documents are read."""
    while batch := list(itertools.islice(ordinals, _MOST)):
        yield batch


@dataclass(slots=True)
class _Scan:
    """One partition on its way down: ordinals from `high` - 1 to `low`, from `cut` on those that came in late."""

    partition: int
    low: int
    high: int
    cut: int
    chunk: int = 0
    ordinals: Iterator[int] = field(default_factory=lambda: iter(()))
    buffer: list[Found] = field(default_factory=list)
    ended: bool = False

    def chunks(self) -> range:
        """Return the chunks that it comes by."""
        if self.high <= self.low:
            return range(0)
        return range((self.high - 1) // CHUNK, self.low // CHUNK - 1, -1)

    def take(self, size: int) -> list[int]:
        """Return the next ordinals of the chunk, fewer than `size` at its end."""
        return list(itertools.islice(self.ordinals, size))

    def put(self, row: Row) -> None:
        """Add a document to the buffer."""
        self.buffer.append(
            Found(
                key=row.key,
                document=row.document,
                order=row.order,
                partition=self.partition,
                ordinal=row.ordinal,
            )
        )

    def among(self, chunk: int, query: Query, bits: Sequence[int]) -> int:
        """Return the ordinals of a chunk that come into question; `bits` are the sets of the facets in `_names`."""
        ordinals = between(self.low, min(self.high, self.cut), chunk)
        if query.minds_late:
            ordinals |= between(self.low, self.high, chunk) & bits[-1]
        return ordinals & _matching(query, bits)


def _scans(store: ViewStore, view: str, partitions: int, query: Query) -> list[_Scan]:
    """Find out between which ordinals each partition is searched; only what the query asks for is looked up."""
    behind = _parse(query.after) if query.after else None
    bounds = [_bounds(partition, query, behind) for partition in range(partitions)]
    orders = [(partition, list(b.values())) for partition, b in enumerate(bounds)]
    sought = store.seek(view, orders)
    scans = []
    for partition, (*ordinals, top) in enumerate(sought):
        by_bound = dict(zip(bounds[partition], ordinals, strict=True))
        cut = by_bound.get("until", top)
        high = by_bound.get("behind", top)
        if behind is not None and partition == behind[1]:
            high = min(high, behind[2])
        if not query.minds_late:
            high = min(high, cut)
        scan = _Scan(partition, by_bound.get("since", 0), high, cut)
        scan.chunk = (scan.high - 1) // CHUNK + 1
        scans.append(scan)
    return scans


def _bounds(
    partition: int, query: Query, behind: tuple[int, int, int] | None
) -> dict[str, int]:
    """Return the orders whose ordinals have to be looked up, by what they bound."""
    bounds = {}
    if query.since is not None:
        bounds["since"] = max(0, query.since)
    if query.until is not None:
        bounds["until"] = max(0, query.until)
    if behind is not None:
        # Of the same order, lower partitions come later; its own may have been numbered anew.
        bounds["behind"] = behind[0] + (partition <= behind[1])
    return bounds


def _names(query: Query) -> list[str]:
    names = [facet for group in _groups(query) for facet in group]
    names += query.without
    if query.minds_late:
        names.append(LATE)
    return names


def _groups(query: Query) -> tuple[tuple[str, ...], ...]:
    return query.facets or ((EVERY,),)


def _matching(query: Query, bits: Sequence[int]) -> int:
    """Combine the sets of the facets in `_names`."""
    facet_sets = iter(bits)
    matching = (1 << CHUNK) - 1
    for group in _groups(query):
        either = 0
        for facet_set in itertools.islice(facet_sets, len(group)):
            either |= facet_set
        matching &= either
    for facet_set in itertools.islice(facet_sets, len(query.without)):
        matching &= ~facet_set
    return matching


def _fill(
    store: ViewStore, view: str, query: Query, scans: Sequence[_Scan], size: int
) -> None:
    """Put some documents into the buffer of each scan, or find out that it has come to its end."""
    todo = list(scans)
    size = min(_MOST, size)
    while todo:
        batches = [(scan, scan.take(size)) for scan in todo]
        asked = [(scan, ordinals) for scan, ordinals in batches if ordinals]
        _load(store, view, query, asked)
        exhausted = [scan for scan, ordinals in batches if len(ordinals) < size]
        _descend(store, view, query, exhausted)
        todo = [scan for scan in todo if not scan.buffer and not scan.ended]
        # What fits may be rare: look at more each time.
        size = min(_MOST, size * 2)


def _load(
    store: ViewStore,
    view: str,
    query: Query,
    asked: Sequence[tuple[_Scan, Sequence[int]]],
) -> None:
    if not asked:
        return
    loaded = store.rows(view, [(scan.partition, ordinals) for scan, ordinals in asked])
    for (scan, ordinals), rows in zip(asked, loaded, strict=True):
        for row in rows:
            if row.ordinal in ordinals and _fits(query, row):
                scan.put(row)


def _descend(store: ViewStore, view: str, query: Query, scans: Sequence[_Scan]) -> None:
    """Take scans to their next chunk."""
    going = []
    for scan in scans:
        scan.chunk -= 1
        if scan.high <= scan.low or scan.chunk < scan.low // CHUNK:
            scan.ended = True
        else:
            going.append(scan)
    if not going:
        return
    names = _names(query)
    facet_sets = store.facets(
        view, [(scan.partition, scan.chunk, names) for scan in going]
    )
    for scan, bits in zip(going, facet_sets, strict=True):
        scan.ordinals = falling(scan.among(scan.chunk, query, bits), scan.chunk)


def _fits(query: Query, row: Row) -> bool:
    """Tell whether a document is what is asked for, by what stands in it."""
    if not _is_in_time(query, row):
        return False
    if query.where is None:
        return True
    return query.where(row.document)


def _is_in_time(query: Query, row: Row) -> bool:
    if query.order_of is None:  # then the index knows it
        return True
    order = query.order_of(row.document)
    if query.since is not None and order < query.since:
        return False
    return query.until is None or order < query.until


def _parse(cursor: str) -> tuple[int, int, int]:
    try:
        padding = "=" * (-len(cursor) % 4)
        order, partition, ordinal = json.loads(
            base64.urlsafe_b64decode(cursor + padding)
        )
        return int(order), int(partition), int(ordinal)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        message = f"{cursor[:80]!r} does not continue a page; pass on the `next` of the page before"
        raise InvalidQuery(message) from error
