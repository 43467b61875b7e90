"""Long streams read a page at a time, so that neither the server nor the reader holds all of one at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from eventstore.codec import parse_entry
from eventstore.errors import EventUnreadable
from eventstore.event import Recorded
from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall
from eventstore.redis.grouping import PAGE


def pages(
    store: RedisClient, run: str, after: int = 0, size: int = PAGE
) -> Iterator[list[Recorded]]:
    """Read the events of a run after a version, page by page, up to where it is when the last page is read."""
    while True:
        page = _parsed(store, run, store.call([_call(store, run, after, size)])[0])
        if page:
            yield page
        if len(page) < size:
            return
        after = page[-1].version


def backwards(
    store: RedisClient, run: str, size: int = PAGE
) -> Iterator[list[Recorded]]:
    """Read the events of a run from its end, page by page, each newest first."""
    top = b"+"
    while True:
        call = PlainCall(
            (b"XREVRANGE", store.keys.stream(run), top, b"-", b"COUNT", size)
        )
        page = _parsed(store, run, store.call([call])[0])
        if page:
            yield page
        if len(page) < size:
            return
        top = b"(%d-0" % page[-1].version


def is_there(store: RedisClient, run: str) -> bool:
    """Tell whether a run has events."""
    return bool(store.call([PlainCall((b"EXISTS", store.keys.stream(run)))])[0])


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An entry of a stream that this engine cannot have written."""

    version: int
    why: str


def courses(
    store: RedisClient, runs: Sequence[str], size: int = PAGE
) -> list[Iterator[Recorded | Unreadable]]:
    """Read several runs: the first page of each in one round trip, the others when they are asked for.

    This is for checks, so what cannot be read is named and does not end it.
    """
    replies = store.call([_call(store, run, 0, size) for run in runs]) if runs else []
    return [
        _course(store, run, first, size)
        for run, first in zip(runs, replies, strict=True)
    ]


def _course(
    store: RedisClient, run: str, page: Any, size: int
) -> Iterator[Recorded | Unreadable]:
    while True:
        yield from (_tried(store, run, entry) for entry in page)
        if len(page) < size:
            return
        [page] = store.call([_call(store, run, _version(page[-1]), size)])


def _tried(store: RedisClient, run: str, entry: Any) -> Recorded | Unreadable:
    try:
        return parse_entry(run, store.keys.partition_of(run), entry)
    except EventUnreadable as error:
        return Unreadable(error.version, error.reason)


def _version(entry: Any) -> int:
    return int(entry[0].partition(b"-")[0])


def _call(store: RedisClient, run: str, after: int, size: int) -> PlainCall:
    return PlainCall(
        (b"XRANGE", store.keys.stream(run), f"{after + 1}-0", b"+", b"COUNT", size)
    )


def _parsed(store: RedisClient, run: str, entries: Any) -> list[Recorded]:
    partition = store.keys.partition_of(run)
    return [parse_entry(run, partition, entry) for entry in entries]
