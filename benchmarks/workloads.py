"""The four workloads on this engine: W1 sequence, W2 many runs, W3 fan-out and join, W4 latency."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from openagents_json.engine import Engine


def sequence(length: int) -> dict[str, Any]:
    """Return a document of steps that run one after the other."""
    steps = [{"id": f"s{i}", "component": "noop"} for i in range(length)]
    return {"id": f"sequence-{length}", "version": "1.0.0", "steps": steps}


def fan(width: int) -> dict[str, Any]:
    """Return a document of parallel steps and a join."""
    steps: list[dict[str, Any]] = [
        {"id": f"p{i}", "component": "noop"} for i in range(width)
    ]
    steps.append(
        {
            "id": "join",
            "component": "noop",
            "depends_on": [f"p{i}" for i in range(width)],
        }
    )
    return {
        "id": f"fan-{width}",
        "version": "1.0.0",
        "execution": "graph",
        "steps": steps,
    }


def w1(engine: Engine, repeats: int = 5) -> dict[str, float]:
    """Run 40 sequential steps; ms per step, best and median of some runs."""
    document = sequence(40)
    engine.run(document, timeout=60)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        result = engine.run(document, timeout=60)
        times.append((time.perf_counter() - begun) * 1000 / 40)
        assert result.ok, result
    return {"ms_per_step": statistics.median(times), "best_ms_per_step": min(times)}


def w2(engine: Engine, count: int = 1000) -> dict[str, float]:
    """Start 1,000 runs of 5 steps at once and wait for all."""
    document = sequence(5)
    engine.plan(document)
    begun = time.perf_counter()
    runs: list[str] = []
    for start in range(0, count, 100):
        runs += engine.start_many([(document, {})] * min(100, count - start))
    wait_all(engine, runs)
    took = time.perf_counter() - begun
    return {
        "runs_per_s": count / took,
        "steps_per_s": 5 * count / took,
        "seconds": took,
    }


def wait_all(engine: Engine, runs: Sequence[str], timeout: float = 120) -> None:
    """Wait until all runs have completed, by looking at their heads in one pipeline."""
    ends = time.perf_counter() + timeout
    open_runs = list(runs)
    while open_runs:
        statuses = engine.core.store.statuses(open_runs)
        assert "failed" not in statuses, "a run failed"
        open_runs = [
            run
            for run, status in zip(open_runs, statuses, strict=True)
            if status != "completed"
        ]
        if time.perf_counter() > ends:
            raise TimeoutError(f"{len(open_runs)} runs are not done after {timeout} s")
        if open_runs:
            time.sleep(0.02)


def w3(engine: Engine, repeats: int = 3) -> dict[str, float]:
    """Run 200 parallel steps and a join; seconds."""
    document = fan(200)
    engine.run(document, timeout=60)
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        assert engine.run(document, timeout=60).ok
        times.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(times), "best_seconds": min(times)}


def w4(engine: Engine, count: int = 100, pause: float = 0.02) -> dict[str, float]:
    """Start a one-step run now and then; ms from start to result."""
    document = sequence(1)
    engine.run(document, timeout=60)
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        assert engine.run(document, timeout=60).ok
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(pause)
    times.sort()
    return {
        "p50_ms": times[len(times) // 2],
        "p95_ms": times[int(len(times) * 0.95)],
        "p99_ms": times[int(len(times) * 0.99)],
    }
