"""Many open runs on one store: how long they take to start, what each takes, and how fast they wake.

For each number of runs, a server of its own, half of the runs waiting for a signal and half for a moment. Seconds are
those of the clock; CPU, of each process, holds on a machine that does other work too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads import wait_all

from eventstore.redis.driver.connection import connect
from eventstore.redis.embedded.server_program import find_program
from openagents_json.engine import Engine

SETTINGS = Path(__file__).parents[1] / "deploy" / "server" / "store.conf"
SIZES = (1_000, 10_000, 100_000)
WOKEN = 10_000
"""How many are woken at once, at most; the others stay open."""

AT_A_TIME = 1_000
SAMPLES = 50
FAR_SECONDS = 1_000_000
ONE = {"id": "fresh", "version": "1.0.0", "steps": [{"id": "a", "component": "noop"}]}
COMPONENTS = """
from openagents_json import tool

@tool("noop")
def noop() -> None:
    pass
"""


@dataclass(frozen=True)
class Processes:
    """A server, where it is, and the worker on it."""

    url: str
    server: int
    worker: int


def waiting(**wait: Any) -> dict[str, Any]:
    """Return a document that waits, and ends then."""
    steps = [{"id": "wait", **wait}]
    inputs = {"n": {"type": "integer"}}
    return {"id": "open", "version": "1.0.0", "inputs": inputs, "steps": steps}


@contextmanager
def processes() -> Iterator[Processes]:
    """Begin a server and a worker."""
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder, "s.sock")
        command = [str(find_program()), str(SETTINGS), "--port", "0"]
        command += ["--unixsocket", str(socket), "--dir", folder]
        components = Path(folder, "components.py")
        components.write_text(COMPONENTS)
        with ExitStack() as ends:
            server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            ends.callback(server.wait)
            ends.callback(server.terminate)
            while not socket.exists():
                time.sleep(0.01)
            url = f"unix://{socket}"
            command = [sys.executable, "-m", "openagents_json", "worker", "--quiet"]
            command += ["--url", url, "-c", str(components), "--log-level", "error"]
            worker = subprocess.Popen(command)
            ends.callback(worker.wait)
            ends.callback(worker.terminate)
            yield Processes(url, server.pid, worker.pid)


def cpu_seconds(pid: int) -> float:
    """Return what a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def server_bytes(url: str) -> int:
    """Return what the server says it uses."""
    with closing(connect(url)) as connection:
        return int(connection.client.info("memory")["used_memory"])


def start(engine: Engine, document: dict[str, Any], count: int) -> list[str]:
    """Start runs, a thousand with each call."""
    runs: list[str] = []
    for first in range(0, count, AT_A_TIME):
        numbers = range(first, min(first + AT_A_TIME, count))
        runs += engine.start_many([(document, {"n": n}) for n in numbers])
    return runs


def fresh_ms(engine: Engine) -> float:
    """Return the median time from start to result of a run that only the engine works on."""
    took = []
    for _ in range(SAMPLES):
        begun = time.perf_counter()
        engine.run(ONE, timeout=120)
        took.append((time.perf_counter() - begun) * 1000)
    return statistics.median(took)


class Clocks:
    """Seconds of the clock, and of computing of program, server and worker, since this began."""

    def __init__(self, on: Processes) -> None:
        self._on = on
        self._begun = self._now()

    def _now(self) -> list[float]:
        pids = (self._on.server, self._on.worker)
        return [time.time(), time.process_time(), *map(cpu_seconds, pids)]

    def show(self, what: str, count: int) -> None:
        """Print what has passed, for each of so many."""
        passed = [
            now - then for now, then in zip(self._now(), self._begun, strict=True)
        ]
        seconds, *cpu = passed
        each = [f"{1e6 * part / count:6.0f}" for part in cpu]
        print(
            f"  {what:12} {count:7,}: {seconds:7.2f} s, {count / seconds:6.0f}/s;"
            f" CPU us of program, server, worker: {' '.join(each)}",
            flush=True,
        )


def measure(size: int) -> None:
    """Measure one number of open runs."""
    print(f"{size:,} open runs", flush=True)
    with processes() as on, Engine.connect(on.url, workers=0) as engine:
        empty_ms, before = fresh_ms(engine), server_bytes(on.url)
        woken = min(WOKEN, size // 2)
        clocks = Clocks(on)
        signalled = start(engine, waiting(wait_for={"signal": "go"}), size // 2)
        start(engine, waiting(sleep=FAR_SECONDS), size - size // 2 - woken)
        # So far that all of them have begun by then, also on a machine that does other work.
        moment = time.time() + 20 + woken / 100
        timed = start(engine, waiting(sleep={"until": moment}), woken)
        clocks.show("started", size)
        engine.views.count()
        bytes_each = (server_bytes(on.url) - before) / size
        full_ms = fresh_ms(engine)
        print(
            f"  bytes each   {bytes_each:7,.0f}; worker {rss_mb(on.worker):.0f} MB;"
            f" a fresh run p50 {empty_ms:.1f} ms, beside them {full_ms:.1f} ms"
        )
        wake(engine, on, signalled[:woken], timed, moment)


def wake(
    engine: Engine,
    on: Processes,
    signalled: Sequence[str],
    timed: Sequence[str],
    moment: float,
) -> None:
    """Wake runs by a signal to each, and by a moment that comes for all of them."""
    if time.time() < moment - 1:
        time.sleep(moment - 1 - time.time())
    while time.time() < moment:
        time.sleep(0.01)
    clocks = Clocks(on)
    wait_all(engine, timed, timeout=600)
    clocks.show("by timer", len(timed))
    clocks = Clocks(on)
    for run in signalled:
        engine.signal(run, "go")
    wait_all(engine, signalled, timeout=600)
    clocks.show("by signal", len(signalled))


def main() -> None:
    """Measure the numbers of open runs that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES)
    for size in parser.parse_args().sizes:
        measure(size)


if __name__ == "__main__":
    main()
