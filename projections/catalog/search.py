"""Searching the catalog: any combination of what names are found by, the best first, in pages that do not shift."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, islice, product, repeat
from operator import and_, or_
from typing import Final

from eventstore.keys import CATALOG
from eventstore.views import CHUNK, ViewStore
from openagents_json.catalog.log.words import words
from projections.bitmaps import between, falling
from projections.catalog.view import CatalogRow, row_of
from projections.errors import InvalidQuery
from projections.projection import EVERY

EXPANDED: Final = 24
"""So many words count that begin with a word of a search."""

TERMS: Final = 8
"""So many words of a search count."""

WordsOf = Callable[[Sequence[str], int], list[list[str]]]
"""(beginnings, most) -> the words of the catalog that begin with each of them."""

Tier = tuple[tuple[str, ...], ...]
"""Groups of facets: one of each group."""

Cursor = tuple[int, int]
"""The tier, and the ordinal, of the last name that was seen."""

MOST: Final = 2**53
"""No ordinal is as high."""

BEGIN: Final = (0, MOST)


@dataclass(frozen=True, slots=True)
class CatalogFilter:
    """What is asked of the catalog: all that is given has to fit; what is withdrawn is left out unless asked for.

    `text` is words, or beginnings of words, of the name or of what is said of it. `takes` is the type of a parameter.
    """

    text: str = ""
    kind: str = ""
    type: str = ""
    tags: tuple[str, ...] = ()
    agent: str = ""
    capability: str = ""
    parameter: str = ""
    takes: str = ""
    worker_type: str = ""
    status: str = ""

    def groups(self) -> Tier:
        """Return the facets that a name must have, apart from words: one of each group."""
        given = {
            "kind": self.kind,
            "type": self.type,
            "agent": self.agent,
            "capability": self.capability,
            "param": self.parameter,
            "takes": self.takes,
            "queue": self.worker_type,
            "status": self.status,
        }
        single = [(f"{name}={value}",) for name, value in given.items() if value]
        tags = [(f"tag={tag}",) for tag in self.tags]
        return ((EVERY,), *single, *tags)

    def without(self) -> tuple[str, ...]:
        """Return the facets that a name must not have."""
        return () if self.status else ("status=withdrawn",)


@dataclass(frozen=True, slots=True)
class CatalogPage:
    """Some names, the best first; `next` continues behind them, empty when these are the last."""

    items: tuple[CatalogRow, ...]
    next: str


def search_catalog(
    store: ViewStore,
    view: str,
    criteria: CatalogFilter,
    words_of: WordsOf,
    *,
    limit: int = 50,
    after: str = "",
) -> CatalogPage:
    """Return a page of names: those whose own words are meant, then whose words begin so, then what is said of them.

    Raises InvalidQuery when `after` is not the `next` of a page.
    """
    if limit < 1:
        raise InvalidQuery(f"a page has room for 1 or more, not {limit}")
    cursor = _parse(after) if after else BEGIN
    matches = _matches(store, view, criteria, words_of, cursor)
    chosen = list(islice(matches, limit + 1))
    if not chosen:
        return CatalogPage((), "")
    [rows] = store.rows(view, [(CATALOG, [ordinal for _, ordinal in chosen])])
    by_ordinal = {row.ordinal: row_of(row.document) for row in rows}
    page = chosen[:limit]
    items = [by_ordinal[ordinal] for _, ordinal in page if ordinal in by_ordinal]
    return CatalogPage(tuple(items), _cursor(page[-1]) if len(chosen) > limit else "")


def count_catalog(
    store: ViewStore, view: str, criteria: CatalogFilter, words_of: WordsOf
) -> int:
    """Count the names that fit."""
    return len(list(_matches(store, view, criteria, words_of, BEGIN)))


def _matches(
    store: ViewStore,
    view: str,
    criteria: CatalogFilter,
    words_of: WordsOf,
    cursor: Cursor,
) -> Iterator[Cursor]:
    """Yield (tier, ordinal) of all that fits behind a cursor, the best tier first, in each the newest name first."""
    [[top]] = store.seek(view, [(CATALOG, [])])
    tiers = [(*criteria.groups(), *tier) for tier in _tiers(criteria.text, words_of)]
    without = criteria.without()
    names = list(dict.fromkeys(chain(without, *map(chain.from_iterable, tiers))))
    chunks = range((top + CHUNK - 1) // CHUNK - 1, -1, -1)
    sets = store.facets(view, [(CATALOG, chunk, names) for chunk in chunks])
    facets_of = [dict(zip(names, bits, strict=True)) for bits in sets]
    left = [~_any_of(without, facets) for facets in facets_of]
    for number, tier in enumerate(tiers):
        for at, chunk in enumerate(chunks):
            fits = left[at] & _all_of(tier, facets_of[at])
            left[at] &= ~fits
            behind = between(0, _bound(cursor, number), chunk)
            yield from zip(repeat(number), falling(fits & behind, chunk))


def _bound(cursor: Cursor, tier: int) -> int:
    """Return below which ordinal a page goes on in a tier: 0 in one that it has come by."""
    reached, ordinal = cursor
    if tier == reached:
        return ordinal
    return 0 if tier < reached else MOST


def _tiers(text: str, words_of: WordsOf) -> Iterator[Tier]:
    """Yield what the words of a text may mean, the best first; each later one is wider than those before."""
    terms = words(text)[:TERMS]
    if not terms:
        yield ()
        return
    wider = [
        tuple(dict.fromkeys((term, *more)))
        for term, more in zip(terms, words_of(terms, EXPANDED), strict=True)
    ]
    exact = [(term,) for term in terms]
    yield tuple(_of(("n",), group) for group in exact)
    yield tuple(_of(("n",), group) for group in wider)
    yield tuple(_of(("n", "w"), group) for group in exact)
    yield tuple(_of(("n", "w"), group) for group in wider)


def _of(families: Sequence[str], group: Iterable[str]) -> tuple[str, ...]:
    return tuple(map("=".join, product(families, group)))


def _any_of(group: Iterable[str], facets: dict[str, int]) -> int:
    return reduce(or_, map(facets.__getitem__, group), 0)


def _all_of(tier: Tier, facets: dict[str, int]) -> int:
    sets = [_any_of(group, facets) for group in tier]
    return reduce(and_, sets, (1 << CHUNK) - 1)


def _cursor(last: Cursor) -> str:
    text = json.dumps(last)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parse(cursor: str) -> Cursor:
    try:
        padding = "=" * (-len(cursor) % 4)
        tier, ordinal = json.loads(base64.urlsafe_b64decode(cursor + padding))
        return int(tier), int(ordinal)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        message = f"{cursor[:80]!r} does not continue a page; pass on the `next` of the page before"
        raise InvalidQuery(message) from error
