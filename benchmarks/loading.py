"""A run of 100,000 events: how long its state takes to load, first, again, and from a snapshot elsewhere."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine

ITEMS = 8_350


def document() -> dict[str, Any]:
    """Return a document of four long foreach steps: three events an item."""
    each = {"component": "noop", "foreach": list(range(ITEMS)), "max_concurrency": 500}
    return {
        "id": "long",
        "persistence": "step",
        "steps": [{"id": f"s{i}", **each} for i in range(4)],
    }


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Return the ms that something takes, and its result."""
    begun = time.perf_counter()
    result = what()
    return (time.perf_counter() - begun) * 1000, result


def main() -> None:
    """Run, load, print."""
    data = Path(tempfile.mkdtemp(prefix="oa-loading-"))
    server = EmbeddedServer.open(data)
    try:
        with Engine.connect(
            server.url, components=load(()), workers=2, partitions=8
        ) as engine:
            run = engine.start(document())
            took, result = timed(lambda: engine.wait(run, timeout=900))
            assert result.ok, result
            print(f"{took / 1000:.0f} s to run")
        with Engine.connect(server.url) as engine:
            first, session = timed(lambda: engine.core.sessions.load(run))
            again = min(
                timed(lambda: engine.core.sessions.load(run))[0] for _ in range(5)
            )
            shown, _ = timed(lambda: engine.state(run))
            shown_again = min(timed(lambda: engine.state(run))[0] for _ in range(5))
            snapshot = len(
                engine.core.connection.command(
                    b"GET", engine.core.store.keys.snapshot(run)
                )
            )
        with Engine.connect(server.url) as engine:
            elsewhere, other = timed(lambda: engine.core.sessions.load(run))
            assert other.state == session.state
        print(
            "| events | steps | first load, ms | again, ms | `state`, ms | again, ms | elsewhere, ms | snapshot, kB |"
        )
        print("|---|---|---|---|---|---|---|---|")
        print(
            f"| {session.version:,} | {len(session.state.steps):,} | {first:.0f} | {again:.1f} "
            f"| {shown:.0f} | {shown_again:.1f} | {elsewhere:.0f} | {snapshot / 1000:.0f} |"
        )
    finally:
        server.close()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
