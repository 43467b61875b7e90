"""The same workloads as Celery canvas: chains, and a chord, with a Redis result backend."""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

from celery import Celery, chain, chord

app = Celery(
    "canvas",
    broker=os.environ.get("CANVAS_BROKER", ""),
    backend=os.environ.get("CANVAS_BROKER", ""),
)
app.conf.update(
    worker_prefetch_multiplier=4, task_serializer="json", result_expires=600
)


@app.task  # type: ignore[untyped-decorator]
def noop(*_: Any) -> None:
    """Do nothing."""


@app.task  # type: ignore[untyped-decorator]
def join(_: Any) -> int:
    """Return a value."""
    return 1


def w1(repeats: int = 5) -> dict[str, float]:
    """Run a chain of 40 tasks."""
    times = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        chain(*[noop.si() for _ in range(40)]).apply_async().get(timeout=60)
        times.append((time.perf_counter() - begun) * 1000 / 40)
    return {"ms_per_step": statistics.median(times[1:])}


def w2(count: int = 1000) -> dict[str, float]:
    """Start 1,000 chains of 5 tasks."""
    begun = time.perf_counter()
    results = [
        chain(*[noop.si() for _ in range(5)]).apply_async() for _ in range(count)
    ]
    for result in results:
        result.get(timeout=60)
    took = time.perf_counter() - begun
    return {
        "runs_per_s": count / took,
        "steps_per_s": 5 * count / took,
        "seconds": took,
    }


def w3(repeats: int = 3) -> dict[str, float]:
    """Run a chord of 200 tasks."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        chord([noop.si() for _ in range(200)])(join.s()).get(timeout=60)
        times.append(time.perf_counter() - begun)
    return {"seconds": statistics.median(times)}


def w4(count: int = 100, pause: float = 0.02) -> dict[str, float]:
    """Send one task now and then."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        noop.delay().get(timeout=60)
        times.append((time.perf_counter() - begun) * 1000)
        time.sleep(pause)
    times.sort()
    return {
        "p50_ms": times[count // 2],
        "p95_ms": times[int(count * 0.95)],
        "p99_ms": times[int(count * 0.99)],
    }
