"""The audit ledger: sealing, checking and proving 100,000 events of made-up runs, and what a ledger takes of memory."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eventstore.event import Event
from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json.engine import Engine
from projections.ledger.signing import new_signer

RUNS, EVENTS = 5_000, 20


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that something takes, and its result."""
    begun = time.perf_counter()
    result = what()
    return time.perf_counter() - begun, result


def memory(engine: Engine) -> int:
    """Return the bytes that the server uses."""
    return int(engine.core.connection.client.info("memory")["used_memory"])


def fill(engine: Engine) -> None:
    """Append events of about the size of real ones."""
    output = {"x": "y" * 80}
    events = [
        Event("StepCompleted", {"step": f"step-{i}", "attempt": 1, "output": output})
        for i in range(EVENTS)
    ]
    for run in range(RUNS):
        engine.events.append(
            f"{run % 8}-run{run}", events, commit_id=f"c{run}", actor="benchmark"
        )


def main() -> None:
    """Fill, seal, check, print."""
    data = Path(tempfile.mkdtemp(prefix="oa-ledger-"))
    server = EmbeddedServer.open(data)
    try:
        with Engine.connect(server.url, partitions=8) as engine:
            fill(engine)
            before, count = memory(engine), RUNS * EVENTS
            sealing, _ = timed(lambda: engine.audit.seal(new_signer()))
            took = (memory(engine) - before) / count
            checking, audit = timed(engine.audit.verify)
            assert audit.intact
            assert audit.verified == count
            one = (
                min(
                    timed(lambda: engine.audit.verify_run("3-run4003"))[0]
                    for _ in range(20)
                )
                * 1000
            )
            proofs = [
                timed(lambda: engine.audit.receipt("3-run4003", 7)) for _ in range(20)
            ]
            receipt, raw = min(proofs, key=lambda x: x[0])
            export = io.BytesIO()
            exporting, _ = timed(lambda: engine.audit.export(export))
        print(
            "| events | sealed a second | checked a second | a run of 20, ms | receipt: ms, bytes | bytes an event |"
        )
        print("|---|---|---|---|---|---|")
        print(
            f"| {count:,} | {count / sealing:,.0f} | {count / checking:,.0f} | {one:.1f} "
            f"| {receipt * 1000:.1f}, {len(raw):,} | {took:.0f} |"
        )
        print(
            f"an export takes {exporting:.1f} s and {len(export.getvalue()) / count:.0f} bytes an event"
        )
    finally:
        server.close()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    main()
