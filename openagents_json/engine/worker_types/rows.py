"""The worker processes on record, with what each has done and which instances of agents it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from eventstore.redis.coordination.members import Directory
from projections.reader import Views
from projections.workers import merged

LATELY: Final = 100
"""Of so many worker processes, the latest, it is looked up which instances of agents they have."""


def worker_rows(
    views: Views, directory: Directory, *, stale: bool
) -> list[dict[str, Any]]:
    """Return the members of the rows of all worker processes on record, the latest first.

    Raises ViewBehind.
    """
    totals: dict[str, dict[str, Any]] = {}
    for row in views.documents("workers", stale=stale):
        earlier = totals.get(row.key)
        totals[row.key] = merged(earlier, row.document) if earlier else row.document
    alive = directory.workers()
    last_ms = {name: totals.get(name, {}).get("last_ms", 0) for name in totals | alive}
    names = sorted(last_ms, key=lambda name: (last_ms[name], name), reverse=True)
    instances = directory.instances(names[:LATELY])
    return [
        _row(name, alive.get(name), totals.get(name, {}), instances.get(name, {}))
        for name in names
    ]


def _row(
    name: str,
    info: Mapping[str, Any] | None,
    totals: Mapping[str, Any],
    instances: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    counts = dict(totals)
    first_ms = counts.pop("first_ms", 0)
    last_ms = counts.pop("last_ms", 0)
    return {
        "worker": name,
        "alive": info is not None,
        "counts": counts,
        "first_ms": first_ms,
        "last_ms": last_ms,
        "instances": instances,
        "told": (info or {}).get("told", {}),
    }
