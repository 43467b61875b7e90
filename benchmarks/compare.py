"""`compare.py OLD NEW`: the workloads on two checkouts in turns, and the ratios of their medians.

Each checkout brings its own `.venv` (`make setup`) and runs its own code with its own server and workers. A machine
that becomes slower or faster in between moves both sides of a pair alike, so that the ratio of a pair holds where its
times do not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from pathlib import Path

Figures = dict[str, float]

# Runs in a checkout, with that checkout's interpreter; prints one line of JSON.
ONE_SIDE = """
import json, sys
sys.path.insert(0, "benchmarks")
import shutil, tempfile
from pathlib import Path
import language, run
from eventstore import EmbeddedServer
from openagents_json.engine import Engine
try:
    from openagents_json.catalog.loader import load
except ImportError:  # the older one of two builds
    from openagents_json.components.loader import load

level = sys.argv[1]
data = Path(tempfile.mkdtemp(prefix="oa-compare-"))
server = EmbeddedServer.open(data, durability=level, unix_socket=False)
commands = [[str(run.BIN / "openagents"), "worker", "--url", server.url, "--concurrency", "2", "--durability", level]]
try:
    row = run.engine_row(server.url, level)
    connect = dict(broker=server.url, components=load(()), durability=level)
    with run.processes(commands * 2, {}), Engine.connect(server.url, **connect) as engine:
        language.foreach(engine, 100)
        row["foreach"] = language.foreach(engine, 2500)
        for mode in language.MODES:
            row[mode] = language.persistence(engine, mode)
finally:
    server.close()
    shutil.rmtree(data, ignore_errors=True)
print(json.dumps(row))
"""

# What is compared: name, workload, figure.
COMPARED = (
    ("W1 ms a step", "W1", "ms_per_step"),
    ("W2 runs/s", "W2", "runs_per_s"),
    ("W2 worker MB", "W2", "peak_worker_mb"),
    ("W2 server MB", "W2", "peak_server_mb"),
    ("W3 s", "W3", "seconds"),
    ("W4 p50 ms", "W4", "p50_ms"),
    ("W4 p99 ms", "W4", "p99_ms"),
    ("foreach ms an item", "foreach", "ms_per_item"),
    ("step ms a step", "step", "ms_per_step"),
    ("checkpoint ms a step", "checkpoint", "ms_per_step"),
    ("outcome ms a step", "outcome", "ms_per_step"),
)


def measure(checkout: Path, level: str) -> Figures:
    """Return the figures of one checkout.

    Raises:
        subprocess.CalledProcessError: its workloads failed; what they said is printed.
    """
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python), "-c", ONE_SIDE, level]
    done = subprocess.run(
        command, cwd=checkout, stdout=subprocess.PIPE, text=True, check=True
    )
    row = json.loads(done.stdout.splitlines()[-1])
    return {name: row[workload][figure] for name, workload, figure in COMPARED}


def table(old: list[Figures], new: list[Figures]) -> str:
    """Return the medians of both sides and the median, least and largest ratio of the pairs as a Markdown table."""
    lines = ["| | old | new | new / old | least, largest |", "|---|---|---|---|---|"]
    for name, _, _ in COMPARED:
        ratios = [
            after[name] / before[name] for before, after in zip(old, new, strict=True)
        ]
        medians = (
            statistics.median(side[name] for side in sides) for sides in (old, new)
        )
        shown = " | ".join(f"{median:.3g}" for median in medians)
        lines.append(
            f"| {name} | {shown} | {statistics.median(ratios):.2f} | {min(ratios):.2f}, {max(ratios):.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure both checkouts in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="a checkout with its .venv")
    parser.add_argument("new", type=Path, help="a checkout with its .venv")
    parser.add_argument(
        "--pairs", type=int, default=5, help="how often each side is measured"
    )
    parser.add_argument("--level", default="everysec", help="the durability of both")
    options = parser.parse_args()
    sides: tuple[list[Figures], list[Figures]] = ([], [])
    for pair in range(options.pairs):
        for measured, checkout in zip(sides, (options.old, options.new), strict=True):
            measured.append(measure(checkout.resolve(), options.level))
        print(f"pair {pair + 1} of {options.pairs} is done", flush=True)
    print(table(*sides))


if __name__ == "__main__":
    main()
