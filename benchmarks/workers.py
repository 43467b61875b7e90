"""Worker types and instances: tool steps beside a flood of agent steps, and steps of agents that take long to load.

The flood is of steps that wait, as for a model. It is measured with one process for all types, and with `worker
--type`, in pairs: quiet, then flooded. The agent of the second part takes 50 ms to be made, at 200 steps a second.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine

COMPONENTS = """
import time
from openagents_json import agent, capability, tool

@agent("slow")
class Slow:
    @capability
    def think(self, seconds: float = 0.3) -> int:
        time.sleep(seconds)
        return 1

@agent("loaded")
class Loaded:
    def __init__(self) -> None:
        time.sleep(0.05)

    @capability
    def answer(self) -> int:
        return 1

@tool("swift")
def swift() -> int:
    return 1
"""
SAMPLES = 100
FLOOD = 60
ROUNDS = 4
PAUSE_SECONDS = 2
"""So long that no slot is kept by the steps before."""
RATE = 200
SECONDS = 10


def one(component: str) -> dict[str, Any]:
    """Return a document of one step."""
    return {"id": "w", "steps": [{"id": "a", "component": component}]}


def begin(
    url: str, prefix: str, components: Path, more: Sequence[str]
) -> subprocess.Popen[bytes]:
    """Start a worker."""
    store = ["--url", url, "--prefix", prefix, "-c", str(components)]
    program = "from cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        program,
        "worker",
        *store,
        "--concurrency",
        "2",
        *more,
    ]
    return subprocess.Popen(command)


def tool_steps_ms(engine: Engine) -> list[float]:
    """Return how long runs of one tool step take, one after the other."""
    took = []
    for _ in range(SAMPLES):
        begun = time.perf_counter()
        engine.run(one("swift"), timeout=120)
        took.append((time.perf_counter() - begun) * 1000)
    return took


def p99(took: Sequence[float]) -> float:
    """Return what 99 of a hundred lie below."""
    return statistics.quantiles(took, n=100)[98]


def isolation(url: str, components: Path, more: Sequence[str]) -> None:
    """Measure tool steps in quiet and in a flood, in turns."""
    prefix = f"iso{len(more)}"
    registry = load([str(components)])
    quiet: list[float] = []
    flooded: list[float] = []
    with Engine.connect(url, broker=url, prefix=prefix, components=registry) as engine:
        process = begin(url, prefix, components, more)
        engine.run(one("swift"), timeout=60)
        for _ in range(ROUNDS):
            quiet += tool_steps_ms(engine)
            time.sleep(PAUSE_SECONDS)
            flood = engine.start_many([(one("slow.think"), {})] * FLOOD)
            time.sleep(0.5)
            flooded += tool_steps_ms(engine)
            for run in flood:
                engine.wait(run, timeout=120)
        process.terminate()
        process.wait()
    name = " ".join(more) or "one process"
    ratio = p99(flooded) / p99(quiet)
    print(
        f"{name:20} tool steps: p99 {p99(quiet):6.1f} ms, in the flood {p99(flooded):7.1f} ms:"
        f" {ratio:.2f}; slowest {max(quiet):6.1f}, {max(flooded):7.1f} ms"
    )


def instances(url: str, components: Path) -> None:
    """Start so many steps a second of an agent that loads long, and see how long they take."""
    with Engine.connect(
        url, broker=url, prefix="inst", components=load([str(components)])
    ) as engine:
        process = begin(url, "inst", components, ("--type", "agent"))
        engine.run(one("loaded.answer"), timeout=60)
        begun = time.monotonic()
        runs: list[str] = []
        while (gone := time.monotonic() - begun) < SECONDS:
            due = int(gone * RATE) - len(runs)
            if due > 0:
                runs += engine.start_many([(one("loaded.answer"), {})] * due)
            time.sleep(0.01)
        for run in runs:
            assert engine.wait(run, timeout=60).ok
        took = time.monotonic() - begun
        time.sleep(2)
        [row] = [
            row.instances["loaded"] for row in engine.views.workers() if row.instances
        ]
        process.terminate()
        process.wait()
    print(
        f"{len(runs) / took:.0f} steps/s of an agent of 50 ms: {row['created']:g} made,"
        f" {row['hits']:g} hits, {row['waits']:g} waits"
    )


def main() -> None:
    """Measure, print."""
    folder = Path(tempfile.mkdtemp(prefix="oa-workers-"))
    components = folder / "components.py"
    components.write_text(COMPONENTS)
    server = EmbeddedServer.open(folder / "data")
    try:
        isolation(server.url, components, ())
        isolation(server.url, components, ("--type", "agent,tool"))
        instances(server.url, components)
    finally:
        server.close()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
