"""The catalog beside plain dicts: registration, look-ups, searches, and memory a component."""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from eventstore.redis.driver.scripts import PlainCall
from openagents_json.engine import Engine, ViewBehind
from openagents_json.engine.cataloging.catalog import CatalogFilter

WORDS = ("read", "write", "sum", "send", "parse", "merge", "rank", "fetch", "trim")
AREAS = ("text", "billing", "mail", "search", "image", "audit", "geo", "chat")
VERSIONS = ("1.0.0", "1.1.0", "2.0.0")


def specs(count: int, version: str) -> Iterator[dict[str, Any]]:
    """Make up components, each of a version."""
    dice = random.Random(1)
    for number in range(count):
        area, word = dice.choice(AREAS), dice.choice(WORDS)
        yield {
            "name": f"{area}.{word}{number}",
            "version": version,
            "description": f"{word} what stands in {area} {dice.choice(WORDS)}",
            "tags": [area, dice.choice(WORDS)],
            "inputs": [{"name": "text", "type": "string"}],
        }


def seconds_of(action: Callable[[], object]) -> float:
    """Return how long something took."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def p99_ms(action: Callable[[int], object], times: int) -> float:
    """Return the 99th percentile of how long something takes, in ms."""
    took = [1000 * seconds_of(partial(action, n)) for n in range(times)]
    return statistics.quantiles(took, n=100)[98]


def report(engine: Engine, count: int) -> Iterator[tuple[str, str]]:
    """Fill a catalog and measure it."""
    catalog = engine.catalog
    before = memory(engine)
    first = list(specs(10_000, "0.9.0"))
    took = seconds_of(lambda: catalog.register_all(first))
    yield "registration of 10,000", f"{took:.2f} s"
    for version in VERSIONS:
        for part in parts(list(specs(count, version))):
            catalog.register_all(part)
    yield "bytes a component in the log", f"{(memory(engine) - before) / count:.0f}"
    took = seconds_of(lambda: caught_up(engine))
    yield "folding all of it into the view", f"{took:.1f} s"
    yield "bytes a component, all", f"{(memory(engine) - before) / count:.0f}"
    names = [spec["name"] for spec in specs(count, "1.0.0")]
    table = {f"{name}@^1": name for name in names}
    dice = random.Random(2)
    chosen = [f"{dice.choice(names)}@^1" for _ in range(200)]
    yield (
        "cold look-up, p99",
        f"{p99_ms(lambda n: catalog.find(chosen[n]), 200):.2f} ms",
    )
    looks = 100_000
    cached = chosen[0]
    catalog.find(cached)
    took = seconds_of(lambda: [catalog.find(cached) for _ in range(looks)])
    yield "cached look-up", f"{1e6 * took / looks:.2f} us"
    took = seconds_of(lambda: [table.get(cached) for _ in range(looks)])
    yield "the same in a dict", f"{1e6 * took / looks:.2f} us"
    searches = {
        "prefix": lambda n: catalog.page(f"{AREAS[n % 8]}.r", limit=20),
        "tag": lambda n: catalog.search(CatalogFilter(tags=(AREAS[n % 8],)), limit=20),
        "text": lambda n: catalog.search(f"{WORDS[n % 9]} {AREAS[n % 8]}", limit=20),
    }
    for name, search in searches.items():
        yield f"search by {name}, p99", f"{p99_ms(search, 100):.1f} ms"
    everything = list(specs(count, "2.0.0"))
    took = seconds_of(lambda: [x for x in everything if "mail" in x["tags"]])
    yield "tags in a list of dicts", f"{1000 * took:.1f} ms"


def caught_up(engine: Engine) -> None:
    """Ask for the view until it has all that was registered: each reader helps for some seconds."""
    while True:
        with suppress(ViewBehind):
            engine.catalog.count()
            return


def parts(items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield some at a time."""
    for start in range(0, len(items), 10_000):
        yield items[start : start + 10_000]


def memory(engine: Engine) -> int:
    """Return how many bytes the server holds."""
    [info] = engine.core.store.call([PlainCall((b"INFO", b"memory"))])
    lines = dict(x.split(b":", 1) for x in info.split(b"\r\n") if b":" in x)
    return int(lines[b"used_memory"])


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--components", type=int, default=100_000)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Engine.embedded(Path(folder), components=(), actor="benchmark") as engine,
    ):
        for name, value in report(engine, asked.components):
            print(f"| {name} | {value} |", flush=True)


if __name__ == "__main__":
    main()
