"""`make bench`: the four workloads here, as Celery canvas, and beside the bare append, in one run on one machine."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import limit
import plot
import redis
import workloads

from eventstore.redis.embedded.server import EmbeddedServer
from executor.celery.broker import broker_of
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
LEVELS = ("everysec", "always")
Row = dict[str, dict[str, float]]


@contextmanager
def processes(
    commands: list[list[str]], environment: dict[str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run worker processes for the time of a block."""
    running = [
        subprocess.Popen(
            c,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=HERE,
            env={**os.environ, **environment},
        )
        for c in commands
    ]
    time.sleep(4)
    try:
        yield running
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def rss_mb(pid: int) -> float:
    """Return the peak resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(name: str, functions: dict[str, Callable[[], dict[str, float]]]) -> Row:
    """Run workloads one after the other."""
    row: Row = {}
    for key, function in functions.items():
        row[key] = function()
        print(
            f"  {name:24} {key}: "
            + ", ".join(f"{k} {v:.3g}" for k, v in row[key].items()),
            flush=True,
        )
    return row


def engine_row(url: str, level: str) -> Row:
    """Run the workloads on two worker processes of this engine."""
    workers = [
        [
            str(BIN / "openagents"),
            "worker",
            "--url",
            url,
            "--concurrency",
            "2",
            "--name",
            f"w{i}",
        ]
        for i in (1, 2)
    ]
    with (
        processes([[*w, "--durability", level] for w in workers], {}) as running,
        Engine.connect(
            url, broker=url, components=load(()), durability=level
        ) as engine,
    ):
        row = measure(
            f"openagents {level}",
            {
                "W1": lambda: workloads.w1(engine),
                "W2": lambda: workloads.w2(engine),
                "W3": lambda: workloads.w3(engine),
                "W4": lambda: workloads.w4(engine),
            },
        )
        row["W2"] |= peaks(url, running)
    return row


def peaks(url: str, running: Sequence[subprocess.Popen[bytes]]) -> dict[str, float]:
    """Return the peak memory of the workers (with that of their children left out) and of the server."""
    client = redis.Redis.from_url(url)
    server = client.info("memory")["used_memory_peak"] / 2**20
    return {
        "peak_worker_mb": max(rss_mb(process.pid) for process in running),
        "peak_server_mb": server,
    }


def patiently(command: list[str], environment: dict[str, str]) -> str:
    """Return the last line that a command prints; one that fails (a result that never comes) is run again."""
    for _ in range(5):
        done = subprocess.run(
            command,
            cwd=HERE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        if done.returncode == 0:
            return done.stdout.splitlines()[-1]
        reason = next(
            (x for x in done.stderr.splitlines() if x.startswith("celery.exceptions")),
            "no reason",
        )
        print(f"  not counted, run again: {reason}", flush=True)
    raise SystemExit(f"failed five times: {done.stderr[-2000:]}")


def canvas_row(url: str, level: str) -> Row:
    """Run the workloads as Celery canvas, in a process of its own, on two worker processes."""
    environment = {"CANVAS_BROKER": broker_of(url).url}
    options = [
        "-P",
        "threads",
        "-c",
        "2",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
        "-l",
        "ERROR",
    ]
    workers = [
        [str(BIN / "celery"), "-A", "canvas", "worker", *options, "-n", f"c{i}@x"]
        for i in (1, 2)
    ]
    code = "import json, canvas; print(json.dumps({k: getattr(canvas, k.lower())() for k in ('W1', 'W2', 'W3', 'W4')}))"
    with processes(workers, environment) as running:
        row: Row = json.loads(
            patiently([sys.executable, "-c", code], {**os.environ, **environment})
        )
        row["W2"] |= peaks(url, running)
    for key, values in row.items():
        print(
            f"  {'celery ' + level:24} {key}: "
            + ", ".join(f"{k} {v:.3g}" for k, v in values.items()),
            flush=True,
        )
    return row


def table(results: dict[str, Any]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| | W1 ms a step | W2 runs/s | W2 steps/s | W2 peak MB: worker, server | W3 s | W4 p50 / p95 / p99 ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in results["rows"].items():
        w1, w2, w3, w4 = (row[key] for key in ("W1", "W2", "W3", "W4"))
        memory = f"{w2['peak_worker_mb']:.0f}, {w2['peak_server_mb']:.0f}"
        latency = " / ".join(f"{w4[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms"))
        lines.append(
            f"| {name} | {w1['ms_per_step']:.2f} | {w2['runs_per_s']:.0f} | {w2['steps_per_s']:.0f} "
            f"| {memory} | {w3['seconds']:.3f} | {latency} |"
        )
    for level, bare in results["limit"].items():
        piped = f"{bare['piped_per_s']:,.0f} a second"
        lines.append(
            f"| one bare append, {level} | {bare['ms_per_append']:.2f} | 50 in a pipeline: {piped} | | | | |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure everything and write table, JSON and plot into `out/`."""
    results: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    }
    results["rows"], results["limit"] = {}, {}
    for level in LEVELS:
        data = Path(tempfile.mkdtemp(prefix="oa-bench-"))
        server = EmbeddedServer.open(data, durability=level, unix_socket=False)
        try:
            results["limit"][level] = limit.append(server.url)
            for name, row in (
                ("openagents", engine_row),
                ("Celery canvas", canvas_row),
            ):
                redis.Redis.from_url(server.url).flushall()
                redis.Redis.from_url(server.url).config_resetstat()
                results["rows"][f"{name}, {level}"] = row(server.url, level)
        finally:
            server.close()
            shutil.rmtree(data, ignore_errors=True)
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1))
    (out / "results.svg").write_text(plot.bars(results["rows"]))
    print("\n" + table(results))


if __name__ == "__main__":
    main()
