"""Delete runs for good."""

from __future__ import annotations

from typing import Any

import click

from cli.commands.outcomes import GoingOn
from cli.commands.runs.archive import without_option
from cli.commands.runs.steering.bulk import BulkRequest, bulk_options
from cli.options import Target, knowing_options, reason_option, yes_option
from cli.run_ids import RUN


@click.command()
@click.argument("runs", nargs=-1, type=RUN)
@bulk_options
@yes_option
@without_option
@reason_option
@knowing_options
def delete(
    target: Target,
    runs: tuple[str, ...],
    without: tuple[str, ...],
    reason: str,
    **options: Any,
) -> int:
    """Delete closed runs for good; it asks first.

    A run goes in one step: its events, payloads, outputs and key. What stays is that it was there: its id, its
    workflow, how many events it had, who deleted it, when and why, and the hashes of the ledger.
    Exit code: 0 when all are deleted, 1 when one has to stay; which, and why, is told.

    \b
    Examples:
      openagents runs delete RUN --yes
      openagents runs delete --where workflow=ping --where ended_before=30d --dry-run
    """
    request = BulkRequest.taken("delete", target, runs, options)
    return request.carry_out(
        GoingOn(target, wait=False, timeout=None, workers=None),
        lambda engine, ids, tell: engine.bulk.delete(
            ids, reason, without=without, tell=tell
        ),
    )
