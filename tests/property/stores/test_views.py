"""Views: any batches give what one fold gives, and a search gives what looking at every document gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from eventstore.event import Position, Recorded
from eventstore.keys import Keyspace
from eventstore.memory.views import MemoryViewStore
from eventstore.redis.driver.connection import Connection
from eventstore.redis.driver.scripts import PlainCall
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.views import RedisViewStore
from eventstore.views import ViewStore
from projections.fold import fold, keyed
from projections.projection import Counted, Index, Projection
from projections.search import Query, count, search
from tests.conftest import Server
from tests.examples import examples

PARTITIONS = 3
COLOURS = ("red", "green", "a:b", "colour of " + "x" * 70)


def _apply(document: Any, event: Recorded) -> Any:
    values = ({"last": event.version}, {"first": event.version})
    if event.type == "Gone":
        return Counted(None, {"type/Gone": 1, "balance": -1}, *values)
    document = document or {"at": event.time_ms, "seen": 0}
    document["seen"] += 1  # a function may change what it is given
    document["colour"] = event.data
    return Counted(document, {"type/Put": 1, "balance": 1}, *values)


def _index(document: Any) -> Index:
    seen = "many" if document["seen"] > 2 else "few"
    return Index(
        document["at"], frozenset({f"colour={document['colour']}", f"seen={seen}"})
    )


KEPT = Projection("kept", _apply, key=lambda event: event.stream, index=_index)
VIEW = KEPT.view(1)

happenings = some.lists(
    some.tuples(
        some.integers(0, PARTITIONS - 1),
        some.integers(0, 8),
        some.sampled_from(["Put", "Put", "Put", "Gone"]),
        some.sampled_from(COLOURS),
        some.integers(-2, 5),
    ),
    max_size=60,
)


def logs(happened: list[tuple[int, int, str, str, int]]) -> dict[int, list[Recorded]]:
    """Make the logs of partitions; the clock goes back at times."""
    events_by_partition: dict[int, list[Recorded]] = {p: [] for p in range(PARTITIONS)}
    now = 1000
    for number, (p, key, kind, colour, tick) in enumerate(happened):
        now += tick
        n = len(events_by_partition[p]) + 1
        events_by_partition[p].append(
            Recorded(
                f"{p}-{key}", number, Position(p, n), now, "c", "", "", kind, colour, {}
            )
        )
    return events_by_partition


def project(store: ViewStore, events: list[Recorded], sizes: list[int]) -> None:
    """Fold events in batches of some sizes."""
    sizes = list(sizes)
    while events:
        size = sizes.pop() if sizes else len(events)
        batch, events = events[:size], events[size:]
        partition, to = batch[0].position.partition, batch[-1].position.n
        pairs, _ = keyed(KEPT, VIEW, batch)
        [loaded] = store.load([(VIEW, partition, [key for key, _ in pairs])])
        assert store.save([(VIEW, partition, fold(KEPT, VIEW, loaded, pairs, to))]) == [
            True
        ]


def everything(store: ViewStore) -> Any:
    """Return all that a store knows, in an order of its own."""
    rows = [
        sorted((r.key, str(r.document), r.order) for r in store.documents(VIEW, p))
        for p in range(PARTITIONS)
    ]
    return (
        rows,
        store.tally(VIEW, range(PARTITIONS)),
        store.checkpoints([VIEW], range(PARTITIONS)),
    )


def looked_through(store: ViewStore, query: Query) -> list[tuple[str, int]]:
    """Answer a query by looking at every document."""
    rows = []
    for partition in range(PARTITIONS):
        for row in store.documents(VIEW, partition):
            facets = _index(row.document).facets
            order = (
                row.order if query.order_of is None else query.order_of(row.document)
            )
            since = query.since is None or order >= query.since
            until = query.until is None or order < query.until
            fits = all(
                facets & set(group) for group in query.facets
            ) and not facets & set(query.without)
            if (
                since
                and until
                and fits
                and (query.where is None or query.where(row.document))
            ):
                rows.append(((row.order, partition, row.ordinal), row.key))
    return [(key, sort_key[0]) for sort_key, key in sorted(rows, reverse=True)]


def paged(store: ViewStore, query: Query) -> list[tuple[str, int]]:
    """Answer a query page by page."""
    rows, after = [], ""
    while True:
        page = search(store, VIEW, PARTITIONS, replace(query, after=after))
        assert len(page.items) <= query.limit
        rows += [(item.key, item.order) for item in page.items]
        after = page.next
        if not after:
            return rows


facets = some.sampled_from(
    [f"colour={c}" for c in COLOURS] + ["seen=many", "seen=few", "colour=none"]
)
queries = some.builds(
    Query,
    facets=some.lists(
        some.lists(facets, min_size=1, max_size=3).map(tuple), max_size=2
    ).map(tuple),
    without=some.lists(facets, max_size=1).map(tuple),
    since=some.none() | some.integers(990, 1100),
    until=some.none() | some.integers(990, 1100),
    where=some.sampled_from([None, lambda document: document["seen"] % 2 == 0]),
    limit=some.integers(1, 7),
    order_of=some.sampled_from([None, lambda document: document["at"]]),
)


class Heads(dict[int, int]):
    def __missing__(self, key: int) -> int:
        return 10**6


@pytest.fixture(scope="module")
def connection(server: Server) -> Connection:
    return server.connect()


def redis_store(server: Server, connection: Connection) -> RedisViewStore:
    store = RedisRunStore(connection, Keyspace(server.prefix(), PARTITIONS))
    store.call(
        [
            PlainCall((b"HSET", store.keys.meta(p), b"n", 10**6))
            for p in range(PARTITIONS)
        ]
    )
    return RedisViewStore(store)


@settings(
    max_examples=examples(30),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(happenings, some.lists(some.integers(1, 9), max_size=30), queries)
def test_any_batches_on_any_store_give_the_same_view_and_answers(
    server: Server,
    connection: Connection,
    happened: list[tuple[int, int, str, str, int]],
    sizes: list[int],
    query: Query,
) -> None:
    whole, parts, real = (
        MemoryViewStore(Heads().__getitem__),
        MemoryViewStore(Heads().__getitem__),
        redis_store(server, connection),
    )
    for events in logs(happened).values():
        project(whole, events, [])
        project(parts, events, sizes)
        project(real, events, sizes)
    assert everything(whole) == everything(parts) == everything(real)
    expected = looked_through(real, query)
    assert [paged(store, query) for store in (parts, real)] == [
        looked_through(parts, query),
        expected,
    ]
    if query.where is None:
        assert count(real, VIEW, PARTITIONS, query) == len(expected)


def test_an_index_of_many_documents_changes_from_lists_to_bits_and_stays_right(
    server: Server, connection: Connection
) -> None:
    store, events = redis_store(server, connection), []
    for number in range(3000):
        colour = COLOURS[0] if number % 3 else COLOURS[1]
        events.append(
            Recorded(
                f"0-{number}",
                1,
                Position(0, number + 1),
                1000 + number,
                "c",
                "",
                "",
                "Put",
                colour,
                {},
            )
        )
    events += [
        Recorded(
            f"0-{k}", 2, Position(0, 3001 + i), 9000, "c", "", "", "Put", COLOURS[2], {}
        )
        for i, k in enumerate(range(0, 3000, 7))
    ]
    project(store, events, [400] * 5)
    for colour in COLOURS:
        query = Query(((f"colour={colour}",),), limit=100)
        assert paged(store, query) == looked_through(store, query)
        assert count(store, VIEW, PARTITIONS, query) == len(
            looked_through(store, query)
        )
