"""The archive: what runs take in memory before and after, and how fast they leave and come back."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure

RUNS = 2_000
BACK = 300

STEP = {"component": "echo", "inputs": {"value": "{{input.text}}"}}
DOCUMENT: dict[str, Any] = {
    "id": "archived",
    "inputs": {"text": {"type": "string"}},
    "steps": [{"id": f"step-{i}", **STEP} for i in range(5)],
    "output": "{{step-4.output}}",
}


def memory(engine: Engine) -> int:
    """Return the bytes that the server uses for data."""
    client = engine.core.connection.client
    client.execute_command("MEMORY", "PURGE")
    return int(client.info("memory")["used_memory"])


def main() -> None:
    """Run, archive, restore, print."""
    data = Path(tempfile.mkdtemp(prefix="oa-archive-"))
    server = EmbeddedServer.open(data / "store")
    try:
        with Engine.connect(
            server.url, components=load(()), workers=2, partitions=8
        ) as engine:
            empty = memory(engine)
            runs = engine.start_many(
                [(DOCUMENT, {"text": f"{i:05}" * 20}) for i in range(RUNS)]
            )
            for run in runs:
                engine.wait(run, timeout=600)
            engine.views.count()
            full = memory(engine)
            begun = time.perf_counter()
            gone = [
                engine.archive.leave(run, Departure(str(data / "archive")))
                for run in runs
            ]
            leaving = time.perf_counter() - begun
            engine.views.archived()
            freed = memory(engine)
            begun = time.perf_counter()
            for run in runs[:BACK]:
                engine.archive.restore(run)
            coming = time.perf_counter() - begun
        size = sum(item.archived for item in gone) / RUNS
        print(
            "| bytes a run, before | after: note and row of the archive | in the file | archived a second | restored |"
        )
        print("|---|---|---|---|---|")
        before, after = (full - empty) / RUNS, (freed - empty) / RUNS
        print(
            f"| {before:,.0f} | {after:,.0f} | {size:,.0f} | {RUNS / leaving:,.0f} | {BACK / coming:,.0f} |"
        )
    finally:
        server.close()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
