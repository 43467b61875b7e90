"""Searching a view: any combination of facets and ranges, newest first, in pages that do not shift."""

from __future__ import annotations

import base64
import heapq
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
    def place(self) -> tuple[int, int, int]:
        """Return what the documents of all partitions are sorted by, falling."""
        return (self.order, self.partition, self.ordinal)

    @property
    def cursor(self) -> str:
        """Return what continues behind this document."""
        return (
            base64.urlsafe_b64encode(json.dumps(self.place).encode())
            .decode()
            .rstrip("=")
        )


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
    out: list[Found] = []
    wanted = max(2, query.limit // partitions + 2)
    _fill(store, view, query, scans, wanted)
    heap = [(_falling(scan), scan) for scan in scans if scan.buffer]
    heapq.heapify(heap)
    while heap and len(out) < query.limit:
        _, newest = heapq.heappop(heap)
        out.append(newest.buffer.pop(0))
        if not newest.buffer:
            _fill(store, view, query, [newest], wanted * 4)
        if newest.buffer:
            heapq.heappush(heap, (_falling(newest), newest))
    return Page(tuple(out), out[-1].cursor if heap and out else "")


def _falling(scan: _Scan) -> tuple[int, ...]:
    return tuple(-x for x in scan.buffer[0].place)


def count(store: ViewStore, view: str, partitions: int, query: Query) -> int:
    """Count the documents that fit, whatever page.

    Raises InvalidQuery when the query looks into documents, which an index cannot count.
    """
    if query.where is not None:
        raise InvalidQuery(
            "only facets and times can be counted, not what is inside of documents"
        )
    scans = _scans(store, view, partitions, query)
    places = [
        (scan.partition, chunk, scan) for scan in scans for chunk in scan.chunks()
    ]
    found = store.facets(
        view, [(partition, chunk, _names(query)) for partition, chunk, _ in places]
    )
    total, unsure = 0, list[tuple[int, list[int]]]()
    for (partition, chunk, scan), bits in zip(places, found, strict=True):
        fits = scan.among(chunk, query, bits)
        late = bits[-1] & fits if query.minds_late else 0
        total += (fits & ~late).bit_count()
        ordinals = list(falling(late, chunk))
        unsure += [
            (partition, ordinals[i : i + _MOST]) for i in range(0, len(ordinals), _MOST)
        ]
    for some in unsure:
        [rows] = store.rows(view, [some])
        total += sum(_fits(query, row) for row in rows)
    return total


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

    def among(self, chunk: int, query: Query, bits: Sequence[int]) -> int:
        """Return the ordinals of a chunk that come into question; `bits` are the sets of the facets in `_names`."""
        places = between(self.low, min(self.high, self.cut), chunk)
        if query.minds_late:
            places |= between(self.low, self.high, chunk) & bits[-1]
        return places & _matching(query, bits)


def _scans(store: ViewStore, view: str, partitions: int, query: Query) -> list[_Scan]:
    """Find out between which ordinals each partition is searched; only what the query asks for is looked up."""
    behind = _parse(query.after) if query.after else None
    wanted = [(p, _bounds(p, query, behind)) for p in range(partitions)]
    found = store.seek(view, [(p, list(bounds.values())) for p, bounds in wanted])
    scans = []
    for (partition, bounds), (*places, top) in zip(wanted, found, strict=True):
        at = dict(zip(bounds, places, strict=True))
        cut, high = at.get("until", top), at.get("behind", top)
        if behind is not None and partition == behind[1]:
            high = min(high, behind[2])
        scan = _Scan(
            partition,
            at.get("since", 0),
            high if query.minds_late else min(high, cut),
            cut,
        )
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
    if (
        behind is not None
    ):  # of the same order, lower partitions come later; its own may have been numbered anew
        bounds["behind"] = behind[0] + (partition <= behind[1])
    return bounds


def _names(query: Query) -> list[str]:
    late = [LATE] if query.minds_late else []
    return (
        [facet for group in _groups(query) for facet in group]
        + list(query.without)
        + late
    )


def _groups(query: Query) -> tuple[tuple[str, ...], ...]:
    return query.facets or ((EVERY,),)


def _matching(query: Query, bits: Sequence[int]) -> int:
    """Combine the sets of the facets in `_names`."""
    found, place = (1 << CHUNK) - 1, 0
    for group in _groups(query):
        either = 0
        for part in bits[place : place + len(group)]:
            either |= part
        found, place = found & either, place + len(group)
    for part in bits[place : place + len(query.without)]:
        found &= ~part
    return found


def _fill(
    store: ViewStore, view: str, query: Query, scans: Sequence[_Scan], wanted: int
) -> None:
    """Return each scan some documents, or find out that it has come to its end."""
    todo, wanted = list(scans), min(_MOST, wanted)
    while todo:
        batches = [
            (scan, [n for _, n in zip(range(wanted), scan.ordinals, strict=False)])
            for scan in todo
        ]
        asked = [(scan.partition, ordinals) for scan, ordinals in batches if ordinals]
        rows = iter(store.rows(view, asked) if asked else [])
        for scan, ordinals in batches:
            if ordinals:
                fits = [
                    row
                    for row in next(rows)
                    if row.ordinal in ordinals and _fits(query, row)
                ]
                scan.buffer += [
                    Found(x.key, x.document, x.order, scan.partition, x.ordinal)
                    for x in fits
                ]
        _descend(
            store,
            view,
            query,
            [scan for scan, ordinals in batches if len(ordinals) < wanted],
        )
        todo = [scan for scan in todo if not scan.buffer and not scan.ended]
        wanted = min(_MOST, wanted * 2)


def _descend(store: ViewStore, view: str, query: Query, scans: Sequence[_Scan]) -> None:
    """Take scans to their next chunk."""
    going = []
    for scan in scans:
        scan.chunk -= 1
        if scan.high <= scan.low or scan.chunk < scan.low // CHUNK:
            scan.ended = True
        else:
            going.append(scan)
    names = _names(query)
    found = (
        store.facets(view, [(scan.partition, scan.chunk, names) for scan in going])
        if going
        else []
    )
    for scan, bits in zip(going, found, strict=True):
        scan.ordinals = falling(scan.among(scan.chunk, query, bits), scan.chunk)


def _fits(query: Query, row: Row) -> bool:
    if query.order_of is not None:
        order = query.order_of(row.document)
        if (query.since is not None and order < query.since) or (
            query.until is not None and order >= query.until
        ):
            return False
    return query.where is None or query.where(row.document)


def _parse(cursor: str) -> tuple[int, int, int]:
    try:
        order, partition, ordinal = json.loads(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        )
        return int(order), int(partition), int(ordinal)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        said = f"{cursor[:80]!r} does not continue a page; pass on the `next` of the page before"
        raise InvalidQuery(said) from error
