"""Long streams read a page at a time, so that neither the server nor the reader holds all of one at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eventstore.codec import parse_entry
from eventstore.event import Recorded
from eventstore.grouping import PAGE
from eventstore.run_store import RunStore
from eventstore.scripts import PlainCall


def pages(store: RunStore, run: str, after: int = 0, size: int = PAGE) -> Iterator[list[Recorded]]:
    """Read the events of a run after a version, page by page, up to where it is when the last page is read."""
    while True:
        page = _parsed(store, run, store.call([_call(store, run, after, size)])[0])
        if page:
            yield page
        if len(page) < size:
            return
        after = page[-1].version


def backwards(store: RunStore, run: str, size: int = PAGE) -> Iterator[list[Recorded]]:
    """Read the events of a run from its end, page by page, each newest first."""
    top = b"+"
    while True:
        call = PlainCall((b"XREVRANGE", store.keys.stream(run), top, b"-", b"COUNT", size))
        page = _parsed(store, run, store.call([call])[0])
        if page:
            yield page
        if len(page) < size:
            return
        top = b"(%d-0" % page[-1].version


def is_there(store: RunStore, run: str) -> bool:
    """Tell whether a run has events."""
    return bool(store.call([PlainCall((b"EXISTS", store.keys.stream(run)))])[0])


def courses(store: RunStore, runs: Sequence[str], size: int = PAGE) -> list[Iterator[Recorded]]:
    """Read several runs: the first page of each in one round trip, the others when they are asked for."""
    replies = store.call([_call(store, run, 0, size) for run in runs]) if runs else []
    firsts = (_parsed(store, run, reply) for run, reply in zip(runs, replies, strict=True))
    return [_course(store, run, first, size) for run, first in zip(runs, firsts, strict=True)]


def _course(store: RunStore, run: str, first: list[Recorded], size: int) -> Iterator[Recorded]:
    yield from first
    if len(first) == size:
        for page in pages(store, run, first[-1].version, size):
            yield from page


def _call(store: RunStore, run: str, after: int, size: int) -> PlainCall:
    return PlainCall((b"XRANGE", store.keys.stream(run), f"{after + 1}-0", b"+", b"COUNT", size))


def _parsed(store: RunStore, run: str, entries: Any) -> list[Recorded]:
    partition = store.keys.partition_of(run)
    return [parse_entry(run, partition, entry) for entry in entries]
