"""What holds for each worker type that is configured, part by part, and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from openagents_json.engine.profiles.choice import DEFAULT, Source
from openagents_json.engine.profiles.worker_type import NAMES, WorkerType
from openagents_json.engine.worker_types.parts import Path, spelled

if TYPE_CHECKING:
    from openagents_json.engine.profiles.resolve import Resolved
    from openagents_json.engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the configuration of a worker type, by its whole name."""

    name: str
    value: Any
    source: Source


def parts_of(resolved: Resolved[Settings]) -> Iterator[Part]:
    """Return all parts of the configured types, in their order."""
    for name, worker_type in resolved.settings.worker_types.items():
        usual = _usual(resolved, name, worker_type)
        for key in NAMES:
            yield _part(resolved, (name, key), getattr(worker_type, key), usual)
        yield from _of_components(resolved, name, worker_type)


def _part(
    resolved: Resolved[Settings],
    path: Path,
    value: Any,
    usual: Mapping[str, tuple[Any, Source]],
) -> Part:
    if path in resolved.parts:
        return Part(spelled(path), value, resolved.source_of_part(path))
    default = (value, Source(DEFAULT))
    value, source = usual.get(path[-1], default)
    return Part(spelled(path), value, source)


def _usual(
    resolved: Resolved[Settings], name: str, worker_type: WorkerType
) -> dict[str, tuple[Any, Source]]:
    """Return what holds where a type says nothing, of what has no default of its own."""
    settings = resolved.settings
    queue = worker_type.queue or name
    lease_ms = settings.leases.get(queue, settings.lease_ms)
    setting = "leases" if queue in settings.leases else "lease_ms"
    return {
        "queue": (queue, Source(DEFAULT)),
        "concurrency": (settings.concurrency, resolved.source("concurrency")),
        "lease_ms": (lease_ms, resolved.source(setting)),
    }


def _of_components(
    resolved: Resolved[Settings], name: str, worker_type: WorkerType
) -> Iterator[Part]:
    paths = [path for path in resolved.parts if path[:2] == (name, "components")]
    for path in paths:
        _, _, component, key = path
        limits = worker_type.components[component]
        source = resolved.source_of_part(path)
        yield Part(spelled(path), getattr(limits, key), source)
