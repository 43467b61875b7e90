"""Tables from the views: steps under way, components, workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from cli.completion.types import COMPONENT
from cli.options import Target, listing_options
from cli.render import second, show
from cli.times import lasting

if TYPE_CHECKING:
    from openagents_json.engine.answers.lists import UsageRow


@click.command()
@click.option(
    "--status",
    "step_status",
    default="",
    help="Only steps of this status, such as started, wait or gated.",
)
@click.option("--worker", default="", help="Only steps at this worker.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="How many at most.",
)
@listing_options
def steps(target: Target, step_status: str, worker: str, limit: int) -> None:
    """List the steps under way in all runs, the longest first.

    \b
    Example: openagents steps --status started
    """
    with target.views() as views:
        open_steps = views.steps(status=step_status, worker=worker)
    longest = sorted(open_steps, key=lambda step: step.since_ms)[:limit]
    rows = (
        (
            step.run,
            step.workflow,
            step.step,
            step.status,
            second(step.since_ms),
            str(step.attempt or ""),
            step.worker,
        )
        for step in longest
    )
    header = ("run", "workflow", "step", "status", "since (UTC)", "attempt", "worker")
    show(longest, header, rows, as_json=target.as_json)


@click.command("stats")
@click.argument("names", metavar="[COMPONENT]...", nargs=-1, type=COMPONENT)
@listing_options
def components(target: Target, names: tuple[str, ...]) -> None:
    """List the components that have run, with counts and latencies.

    \b
    Examples:
      openagents components stats
      openagents components stats fetch
    """
    with target.views() as views:
        statistics = [
            item
            for item in views.components()
            if not names or item.component.partition("@")[0] in names
        ]
    rows = (
        (
            component.component,
            str(component.completed),
            str(component.failed),
            str(component.lost),
            f"{component.error_rate:.1%}",
            lasting(component.p50_ms),
            lasting(component.p95_ms),
            lasting(component.p99_ms),
        )
        for component in statistics
    )
    header = (
        "component",
        "completed",
        "failed",
        "lost",
        "error rate",
        "p50",
        "p95",
        "p99",
    )
    show(statistics, header, rows, as_json=target.as_json)


@click.command("list")
@listing_options
def list_workers(target: Target) -> None:
    """List the worker processes on record, the latest first.

    \b
    Example: openagents workers list
    """
    from cli.commands.fleet.workers import told_of

    with target.views() as views:
        processes = views.workers()
    names = ("started", "completed", "failed", "lost", "ignored")
    rows = (
        (
            process.worker,
            told_of(process.told) or ("alive" if process.alive else ""),
            *(str(process.counts.get(name, 0)) for name in names),
            _last(process.last_ms),
            _instances(process.instances),
        )
        for process in processes
    )
    header = ("worker", "", *names, "last (UTC)", "instances")
    show(processes, header, rows, as_json=target.as_json)


def _instances(pools: Mapping[str, Mapping[str, float]]) -> str:
    return "; ".join(
        f"{name}: {pool['alive']:g} ({pool['idle']:g} idle, {pool['hits']:g} hits, {pool['waits']:g} waits)"
        for name, pool in pools.items()
    )


@click.command()
@click.option(
    "--by",
    type=click.Choice(["workflow", "step", "model", "label"]),
    default="workflow",
    show_default=True,
    help="What the sums are of.",
)
@click.option("--workflow", default="", help="Only runs of this workflow.")
@listing_options
def usage(target: Target, by: str, workflow: str) -> None:
    """Show what steps have used, in tokens and money.

    \b
    Examples:
      openagents usage
      openagents usage --by model --workflow research
    """
    sums = _sums(target, by, workflow)
    rows = (
        (
            group.name or "(no model)",
            f"{group.attempts:,}",
            f"{group.input_tokens:,}",
            f"{group.output_tokens:,}",
            group.cost,
        )
        for group in sums
    )
    header = (by, "attempts", "tokens in", "tokens out", "cost")
    show(sums, header, rows, as_json=target.as_json)


def _sums(target: Target, by: str, workflow: str) -> list[UsageRow]:
    """Return what steps have used, from a service or from the views of a store."""
    if target.is_remote:
        with target.engine() as engine:
            return engine.usage(by=by, workflow=workflow)
    from openagents_json.engine.usage.sums import usage_rows

    with target.views() as queries:
        return usage_rows(queries.views, by, workflow)


def _last(time_ms: int) -> str:
    if time_ms:
        return second(time_ms)
    return ""
