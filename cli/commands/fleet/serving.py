"""What `worker --type` does: begins the processes of each type, and looks after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from cli.commands.dev.worker_process import WorkerProcess, orders_of
from cli.commands.fleet.fleet import Fleet
from cli.logs.handlers import teller
from openagents_json.engine import Engine, load_components
from openagents_json.engine.projections import in_modules
from openagents_json.engine.worker_types.backlog import load_by_queue
from openagents_json.engine.worker_types.settle import (
    TIMEKEEPING,
    TypeProcesses,
    processes_of,
)

if TYPE_CHECKING:
    from openagents_json.engine import Settings


def serve_types(
    settings: Settings,
    components: Sequence[str],
    types: str,
    options: Mapping[str, Any],
    *,
    name: str,
    telemetry: str,
) -> int:
    """Work on some worker types until told to stop; gives the exit code."""
    names = list(dict.fromkeys(filter(None, map(str.strip, types.split(",")))))
    if not names:
        raise click.BadParameter("it names no worker type", param_hint="--type")
    may_be_alone = not all(processes_of(settings, x, options).at_least for x in names)
    with Engine.open(
        settings,
        # This process runs no components: those of its children have them.
        components=load_components(()),
        projections=in_modules(components) if may_be_alone else (),
    ) as engine:
        # With the server's URL, so that all work on one store, also on that of a directory.
        here = settings.model_copy(update={"url": settings.url or engine.url})
        served = [processes_of(here, worker_type, options) for worker_type in names]
        if may_be_alone:  # then nobody else sees that a timer is due
            engine.work(TIMEKEEPING)
        fleet = Fleet(
            served,
            start=partial(
                _start, components=components, name=name, telemetry=telemetry
            ),
            loads=lambda: load_by_queue(engine, [x.queue for x in served]),
            grace_seconds=settings.grace_seconds,
            steady_ms=engine.clock.steady_ms,
            tell=teller(settings.log_format),
        )
        return fleet.run()


def _start(
    worker_type: TypeProcesses, *, components: Sequence[str], name: str, telemetry: str
) -> WorkerProcess:
    orders = orders_of(
        worker_type.settings,
        components,
        name=name or worker_type.name,
        pool=worker_type.pool,
        telemetry=telemetry,
    )
    return WorkerProcess(orders)
