"""What the language costs: a foreach by its number of items, and what each kind of persistence saves."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from run import BIN, HERE, processes

from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine

SIZES = (1_000, 2_500, 5_000, 10_000)
MODES = ("step", "checkpoint", "outcome")


def foreach(engine: Engine, items: int) -> dict[str, float]:
    """Run a foreach over many items: seconds, events and bytes on the log, bytes of the head at its largest."""
    step = {
        "id": "each",
        "component": "echo",
        "foreach": "{{input.xs}}",
        "inputs": {"x": "{{item}}"},
    }
    document = {"id": "foreach", "steps": [step], "output": "{{each.output | length}}"}
    engine.plan(document)
    begun = time.perf_counter()
    run = engine.start(document, {"xs": list(range(items))})
    head, command = 0, engine.core.connection.command
    while not engine.core.store.statuses([run])[0].startswith(("completed", "failed")):
        head = max(
            head, command(b"MEMORY", b"USAGE", engine.core.store.keys.head(run)) or 0
        )
        time.sleep(0.05)
    took = time.perf_counter() - begun
    assert engine.wait(run).output == items
    stream = engine.core.store.keys.stream(run)
    return {
        "seconds": took,
        "ms_per_item": took * 1000 / items,
        "events_per_item": command(b"XLEN", stream) / items,
        "bytes_per_item": command(b"MEMORY", b"USAGE", stream, b"SAMPLES", 0) / items,
        "head_kb": head / 1024,
    }


def persistence(engine: Engine, mode: str, steps: int = 200) -> dict[str, float]:
    """Run a sequence under one kind of persistence; the median of five."""
    document = {
        "id": f"sequence-{mode}",
        "persistence": mode,
        "steps": [
            {"id": f"s{i}", "component": "echo", "inputs": {"x": i}}
            for i in range(steps)
        ],
        "output": 1,
    }
    times, run = [], ""
    for _ in range(6):
        begun = time.perf_counter()
        run = engine.run(document, timeout=120).id
        times.append(time.perf_counter() - begun)
    history = engine.history(run)
    stream = engine.core.store.keys.stream(run)
    return {
        "ms_per_step": statistics.median(times[1:]) * 1000 / steps,
        "commits": len({event.commit for event in history}),
        "events": len(history),
        "bytes": engine.core.connection.command(
            b"MEMORY", b"USAGE", stream, b"SAMPLES", 0
        ),
    }


def show(title: str, rows: dict[str, dict[str, float]]) -> None:
    """Print rows as a Markdown table."""
    names = list(next(iter(rows.values())))
    print(
        f"\n| {title} | " + " | ".join(name.replace("_", " ") for name in names) + " |"
    )
    print("|" + "---|" * (len(names) + 1))
    for key, row in rows.items():
        print(f"| {key} | " + " | ".join(f"{row[name]:,.3g}" for name in names) + " |")


def main() -> None:
    """Measure everything on two worker processes; writes `out/language.json`."""
    data = Path(tempfile.mkdtemp(prefix="oa-bench-"))
    server = EmbeddedServer.open(data, durability="everysec", unix_socket=False)
    results: dict[str, Any] = {}
    try:
        commands = [
            [
                str(BIN / "openagents"),
                "worker",
                "--url",
                server.url,
                "--concurrency",
                "2",
            ]
            for _ in (1, 2)
        ]
        with (
            processes(commands, {}),
            Engine.connect(
                server.url, broker=server.url, components=load(())
            ) as engine,
        ):
            foreach(engine, 100)
            results["foreach"] = {f"{n:,} items": foreach(engine, n) for n in SIZES}
            results["persistence"] = {mode: persistence(engine, mode) for mode in MODES}
    finally:
        server.close()
        shutil.rmtree(data, ignore_errors=True)
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "language.json").write_text(json.dumps(results, indent=1))
    show("foreach", results["foreach"])
    show("200 steps", results["persistence"])


if __name__ == "__main__":
    main()
