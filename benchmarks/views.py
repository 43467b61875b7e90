"""The view of runs at a million recorded runs: time of a page for several searches, and memory a run."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from eventstore.event import Position, Recorded
from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import connect
from eventstore.redis.driver.scripts import PlainCall
from eventstore.redis.embedded.server import EmbeddedServer
from eventstore.redis.runs import RedisRunStore
from eventstore.redis.views import RedisViewStore
from projections.fold import fold, keyed
from projections.runs import RUNS, RunFilter
from projections.search import count, search

VIEW = RUNS.view(1)
BEGIN_MS = 1_790_000_000_000
DAY_MS = 86_400_000


def histories(partition: int, runs: int, seed: int) -> Iterator[Recorded]:
    """Make up the beginning and the end of runs, as they would lie in the log of a partition."""
    dice, n = random.Random(f"{seed}/{partition}"), 0
    for number in range(runs):
        run = f"{partition}-{number:026d}"
        begin_ms = BEGIN_MS + number * (30 * DAY_MS // runs)
        n += 1
        yield beginning(dice, run, Position(partition, n), begin_ms, number)
        chance = dice.random()
        took_ms = int(dice.lognormvariate(8, 2))
        if chance < 0.002:  # still open
            continue
        n += 1
        failed = chance >= 0.95
        yield ending(dice, run, Position(partition, n), begin_ms + took_ms, failed)


def beginning(
    dice: random.Random, run: str, position: Position, time_ms: int, number: int
) -> Recorded:
    """Make up the first event of a run."""
    workflow = f"workflow-{min(int(dice.expovariate(0.1)), 199)}"
    data = {
        "workflow": workflow,
        "version": f"1.{dice.randrange(5)}.0",
        "definition": "0" * 64,
        "labels": {
            "tenant": f"t{dice.randrange(500)}",
            "order": f"{position.partition}/{number}",
        },
    }
    return Recorded(
        run, 1, position, time_ms, "c", "program", "", "RunStarted", data, {}
    )


def ending(
    dice: random.Random, run: str, position: Position, time_ms: int, failed: bool
) -> Recorded:
    """Make up the last event of a run."""
    error = {
        "type": dice.choice(["ValueError", "Timeout"]),
        "message": f"rule {dice.randrange(40)} is broken",
    }
    kind, data = "RunCompleted", {}
    if failed:
        kind, data = "RunFailed", {"error": error, "step": "s"}
    return Recorded(run, 9, position, time_ms, "c", "w", "", kind, data, {})


def build(
    store: RedisRunStore, views: RedisViewStore, partitions: int, runs: int
) -> float:
    """Fold the histories into the view; gives events a second."""
    begun, events = time.perf_counter(), 0
    for partition in range(partitions):
        batch: list[Recorded] = []
        source = histories(partition, runs // partitions, 7)
        while True:
            batch = [event for _, event in zip(range(2000), source, strict=False)]
            if not batch:
                break
            set_head(store, partition, batch[-1].position.n)
            pairs, _ = keyed(RUNS, VIEW, batch)
            [loaded] = views.load([(VIEW, partition, [key for key, _ in pairs])])
            folded = fold(RUNS, VIEW, loaded, pairs, batch[-1].position.n)
            assert views.save([(VIEW, partition, folded)]) == [True]
            events += len(batch)
    return events / (time.perf_counter() - begun)


def set_head(store: RedisRunStore, partition: int, n: int) -> None:
    """Let the log be that long."""
    store.call([PlainCall((b"HSET", store.keys.meta(partition), b"n", n))])


def filters(partitions: int) -> dict[str, RunFilter]:
    """Return searches: wide, narrow, empty, and by ranges."""
    return {
        "newest": RunFilter(),
        "failed": RunFilter(status=("failed",)),
        "workflow and failed": RunFilter(workflow=("workflow-3",), status=("failed",)),
        "four facets": RunFilter(
            workflow=("workflow-3", "workflow-4"),
            status=("completed",),
            version=("1.2.0",),
            labels={"tenant": "t7"},
        ),
        "two large sets that do not meet": RunFilter(
            status=("completed",), error=("Timeout",)
        ),
        "one run by label": RunFilter(labels={"order": f"{partitions - 1}/17"}),
        "a day two weeks ago, failed": RunFilter(
            started_from=BEGIN_MS + 14 * DAY_MS,
            started_to=BEGIN_MS + 15 * DAY_MS,
            status=("failed",),
        ),
        "took 10 to 20 s": RunFilter(took_from=10_000, took_to=20_000),
        "ended within an hour, failed": RunFilter(
            ended_from=BEGIN_MS + 20 * DAY_MS,
            ended_to=BEGIN_MS + 20 * DAY_MS + 3_600_000,
            status=("failed",),
        ),
    }


def measured(views: RedisViewStore, partitions: int, chosen: RunFilter) -> str:
    """Search often, and give the cells of a row: how many there are, the first page, the twentieth."""
    times: list[float] = []
    for _ in range(15):
        begun = time.perf_counter()
        page = search(views, VIEW, partitions, chosen.query())
        times.append((time.perf_counter() - begun) * 1000)
    deep_ms = 0.0
    for _ in range(19):
        begun = time.perf_counter()
        if page.next:
            page = search(views, VIEW, partitions, chosen.query(after=page.next))
        deep_ms = (time.perf_counter() - begun) * 1000
    query = chosen.query()
    total = "" if query.where else f"{count(views, VIEW, partitions, query):,}"
    median_ms, worst_ms = statistics.median(times), max(times)
    return f"{total} | {median_ms:.1f}, {worst_ms:.1f} | {deep_ms:.1f}"


def main() -> None:
    """Build, measure, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=64)
    options = parser.parse_args()
    data = Path(tempfile.mkdtemp(prefix="oa-views-"))
    server = EmbeddedServer.open(data, durability="memory")
    connection = connect(server.url)
    try:
        store = RedisRunStore(connection, Keyspace("bench", options.partitions))
        views = RedisViewStore(store)
        before = connection.client.info("memory")["used_memory"]
        rate = build(store, views, options.partitions, options.runs)
        used = connection.client.info("memory")["used_memory"] - before
        print(
            f"{options.runs} runs in {options.partitions} partitions: {rate:,.0f} events a second, ",
            end="",
        )
        print(f"{used / options.runs:.0f} bytes a run")
        print(
            "| search | found | page of 50, ms: median, worst | page 20, ms |\n|---|---|---|---|"
        )
        for name, chosen in filters(options.partitions).items():
            print(f"| {name} | {measured(views, options.partitions, chosen)} |")
    finally:
        connection.close()
        server.close()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
