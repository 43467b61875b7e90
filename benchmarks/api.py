"""`make bench-api`: the API beside a bare FastAPI application that says hello, served the same way in the same run.

`--against CHECKOUT` measures the server of another checkout in turns with this one. `--long 600` asks for reads and
starts 1,000 times a second for so many seconds while 500 watchers with an API key each follow runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serving import Figures, Load, Server, install_loader, measured, server
from workloads import sequence

from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.consistency.positions import token_of

HERE = Path(__file__).parent
AT_A_TIME = 1_000
WATCHERS = 500
STEPS = 5
WORKFLOW = f"sequence-{STEPS}@^1"
START = {"workflow": WORKFLOW, "inputs": {"name": "Ada"}}
BARE = "bare hello"


@dataclass(frozen=True)
class World:
    """A store with API keys, a run that has ended, and one that goes on as there is no worker."""

    url: str
    ended: str
    open: str
    position: str
    keys: Sequence[str]

    @property
    def as_caller(self) -> Mapping[str, str]:
        """Return the header fields of a caller."""
        return {"authorization": f"Bearer {self.keys[0]}"}

    def loads(self) -> dict[str, Load]:
        """Return what is asked for, by its name."""
        behind = {**self.as_caller, "if-position": self.position}
        one, many = json.dumps(START), json.dumps({"runs": [START] * AT_A_TIME})
        ended, unended = f"/v1/runs/{self.ended}", f"/v1/runs/{self.open}"
        return {
            "read of a run": Load(ended, headers=self.as_caller),
            "read of an open run": Load(unended, headers=self.as_caller),
            "read behind a position": Load(ended, headers=behind),
            "list of 20 runs": Load("/v1/runs?limit=20", headers=self.as_caller),
            "start": Load("/v1/runs", "POST", self.as_caller, one),
            f"start, {AT_A_TIME:,} in a request": Load(
                "/v1/runs/batch", "POST", self.as_caller, many, 1, AT_A_TIME
            ),
        }


@contextmanager
def world(keys: int) -> Iterator[World]:
    """Make a store on a server of its own."""
    data = Path(tempfile.mkdtemp(prefix="oa-api-"))
    store = EmbeddedServer.open(data, durability="everysec", unix_socket=False)
    try:
        with Engine.connect(store.url, components=load(()), workers=2) as engine:
            engine.publish(sequence(STEPS))
            ended = engine.run(WORKFLOW, timeout=60).id
        with Engine.connect(store.url) as engine:
            unended = engine.start(WORKFLOW)
            position = token_of(engine.log_positions.after([ended]))
            secrets = [
                engine.api_keys.create(f"key-{number}", "operator").secret
                for number in range(keys)
            ]
            yield World(store.url, ended, str(unended), position, secrets)
    finally:
        store.close()
        shutil.rmtree(data, ignore_errors=True)


def command_of(checkout: Path, url: str) -> list[str]:
    """Return what serves the API of a checkout."""
    program = str(checkout / ".venv" / "bin" / "openagents")
    return [program, "serve", "--port", "0", "--url", url]


def in_turns(
    bare: Server, sides: Mapping[str, Server], world: World, seconds: int, rounds: int
) -> dict[str, list[Figures]]:
    """Measure each kind of request on each side, round by round."""
    figures: dict[str, list[Figures]] = {}
    for number in range(rounds):
        kinds = [(BARE, bare, Load("/hello"))]
        for kind, asked in world.loads().items():
            kinds += [(f"{kind}{side}", there, asked) for side, there in sides.items()]
        for name, there, asked in kinds:
            measured(there, asked, 1)  # so that all of its code has run
            figures.setdefault(name, []).append(measured(there, asked, seconds))
        print(f"round {number + 1} of {rounds} is done", file=sys.stderr, flush=True)
    return figures


def table(figures: Mapping[str, Sequence[Figures]]) -> str:
    """Return the medians of the rounds as a Markdown table, with the shares of the bare application in each round."""
    lines = [
        "| | a second | of bare | CPU ms | CPU of bare / it | p50, p99 ms | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rounds in figures.items():
        bare = figures[BARE]
        rate = statistics.median(each.rate for each in rounds)
        cpu_ms = statistics.median(each.cpu_ms for each in rounds)
        of_rate = statistics.median(
            each.rate / base.rate for each, base in zip(rounds, bare, strict=True)
        )
        of_cpu = statistics.median(
            base.cpu_ms / each.cpu_ms for each, base in zip(rounds, bare, strict=True)
        )
        p50 = statistics.median(each.p50_ms for each in rounds)
        p99 = statistics.median(each.p99_ms for each in rounds)
        failed = sum(each.not_answered for each in rounds)
        lines.append(
            f"| {name} | {rate:,.0f} | {of_rate:.2f} | {cpu_ms:.3g} | {of_cpu:.2f} | {p50:.0f}, {p99:.0f} | {failed} |"
        )
    return "\n".join(lines)


async def _watch(
    address: str, world: World, stop: asyncio.Event, all_follow: threading.Event
) -> int:
    """Follow a run with each key until told to stop, and return how many feeds broke off before."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    broken, begun = 0, 0

    async def follow(key: str) -> None:
        nonlocal broken, begun
        reader, writer = await asyncio.open_connection(host, port)
        asked = (
            f"GET /v1/runs/{world.open}/events HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer {key}\r\n\r\n"
        )
        writer.write(asked.encode())
        first = await reader.readline()
        begun += 1
        if begun == len(world.keys):
            all_follow.set()
        try:
            while first.startswith(b"HTTP/1.1 200") and await reader.read(65536):
                pass
            broken += 1
        finally:
            writer.close()

    tasks = [asyncio.create_task(follow(key)) for key in world.keys]
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return broken


@contextmanager
def watchers(address: str, world: World) -> Iterator[list[int]]:
    """Follow a run with each key for the time of a block; afterwards the list has how many feeds broke off."""
    loop, stop, broken = asyncio.new_event_loop(), asyncio.Event(), list[int]()
    all_follow = threading.Event()

    def watch() -> None:
        broken.append(loop.run_until_complete(_watch(address, world, stop, all_follow)))
        loop.close()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert all_follow.wait(120), "not all watchers were let in"
        yield broken
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def at_a_rate(
    there: Server, world: World, rate: int, seconds: int, kinds: Sequence[str]
) -> str:
    """Ask so many times a second for each kind in turn, and return a Markdown table."""
    lines = [
        "| at a rate | requests/s | CPU ms | p50, p99 ms | failed | MB before, after |",
        "|---|---|---|---|---|---|",
    ]
    for kind in kinds:
        before = there.memory_mb()
        asked = replace(world.loads()[kind], connections=50)
        each = measured(there, asked, seconds, rate)
        after = there.memory_mb()
        lines.append(
            f"| {kind} | {each.rate:,.0f} | {each.cpu_ms:.3g} | {each.p50_ms:.0f}, {each.p99_ms:.0f} "
            f"| {each.not_answered} | {before:.0f}, {after:.0f} |"
        )
    return "\n".join(lines)


def long_run(there: Server, world: World, rate: int, seconds: int) -> str:
    """Ask at a rate while a run is followed with each key."""
    with watchers(there.url, world) as broken:
        shown = at_a_rate(there, world, rate, seconds, ["read of a run"])
    return f"{shown}\n\n{len(world.keys)} watchers, of which {broken[0]} broke off"


def _options() -> Any:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout with its .venv")
    parser.add_argument("--rate", type=int, default=300, help="requests/s for the p99")
    parser.add_argument("--long", type=int, default=0, help="seconds of a long run")
    return parser.parse_args()


def main() -> None:
    """Measure, and print tables."""
    options = _options()
    install_loader()
    with ExitStack() as running:
        here = running.enter_context(world(WATCHERS if options.long else 1))
        new = running.enter_context(server(command_of(HERE.parent, here.url)))
        if options.long:
            print(long_run(new, here, options.rate, options.long))
            return
        sides = {"": new}
        if options.against is not None:
            command = command_of(options.against.resolve(), here.url)
            sides[", other checkout"] = running.enter_context(server(command))
        bare = running.enter_context(server([sys.executable, str(HERE / "bare.py")]))
        figures = in_turns(bare, sides, here, options.seconds, options.rounds)
        print(table(figures))
        kinds = ["read of a run", "start"]
        print(f"\n{at_a_rate(new, here, options.rate, options.seconds * 3, kinds)}")


if __name__ == "__main__":
    main()
