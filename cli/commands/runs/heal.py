"""Heal a class of failed runs: a backtest, its table, then the proven ones in waves."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from cli.commands.runs.replay import set_option
from cli.commands.runs.steering.where import FAILED_RUNS, chosen_by, with_full_ids
from cli.completion.types import DOCUMENT_OR_WORKFLOW
from cli.failing.interrupts import notice_at_interrupt, notice_of_heal
from cli.options import Target, reason_option, target_options
from cli.render import console, print_json, short, table
from cli.terminal import note, say, say_lines
from cli.times import Duration

if TYPE_CHECKING:
    from openagents_json.engine import (
        Engine,
        HealReport,
        HealRequest,
        RunFilter,
        SandboxSettings,
    )

_OPTIONS = [
    click.option(
        "--where",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Choose failed runs: {FAILED_RUNS}.",
    ),
    click.option(
        "--limit",
        type=click.IntRange(1, 10_000),
        default=1000,
        show_default=True,
        help="How many at most.",
    ),
    click.option(
        "--workflow",
        metavar="FILE|WORKFLOW",
        type=DOCUMENT_OR_WORKFLOW,
        help="The fix: another version of the workflow.",
    ),
    set_option,
    click.option(
        "--mock",
        "mocks",
        multiple=True,
        metavar="STEP=JSON",
        help="What a step returns in the backtest.",
    ),
    click.option(
        "--mocks",
        "mocks_file",
        metavar="FILE",
        help="A JSON object of such results, by step.",
    ),
    click.option(
        "--step-timeout",
        type=Duration(),
        default="30s",
        help="How long a step may take in the sandbox.",
    ),
    click.option(
        "--sandbox",
        type=click.Choice(["best", "strict"]),
        default="best",
        show_default=True,
        help="strict: no backtest where the kernel does not keep components in; best: what there is, and it is said.",
    ),
    click.option(
        "--sandbox-env",
        "variables",
        multiple=True,
        metavar="NAME",
        help="A variable for components in it.",
    ),
    click.option(
        "--dry-run", is_flag=True, help="Only the backtest; --resume heals by it."
    ),
    click.option(
        "--resume",
        metavar="HEAL",
        help="Go on with a heal: after a dry run, a crash, or a stop.",
    ),
    click.option(
        "--force",
        is_flag=True,
        help="Go on with one that its stop condition has stopped.",
    ),
    click.option(
        "--waves",
        default="1,10%,100%",
        show_default=True,
        help="How many are healed after each wave.",
    ),
    click.option(
        "--wave-timeout",
        type=Duration(),
        default="10m",
        help="How long to wait for the runs of a wave.",
    ),
    click.option(
        "--stop-after-failures",
        "stop",
        default="1",
        show_default=True,
        metavar="N|P%",
        help="Stop when so many runs, or such a share of them, have failed again.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(0),
        help="Threads that run steps.  [default: 2, with --url 0]",
    ),
    reason_option,
]


def _options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@target_options
@_options
def heal(target: Target, resume: str | None, dry_run: bool, **given: Any) -> int:
    """Heal failed runs that a backtest proves to complete. It replays their recorded histories.

    The fix is a version of the workflow (--workflow), other inputs (--set), or just what the components (-c) do now.
    In the backtest, steps that failed or have changed run in a sandbox, if they are pure or idempotent: in this folder,
    which they may read, without network, other processes, changes of files, and secrets. All else comes from the log.
    Exit code: 0 when all proven runs are healed and have completed, or the dry run is done; 1 otherwise.

    \b
    Examples:
      openagents runs heal --where error=TimeoutError -c components.py --dry-run
      openagents runs heal --resume HEAL -c components.py
    """
    from openagents_json.engine.healing.heal import as_json

    with target.engine() as engine:
        if resume:
            report = engine.heal.report(resume)
        else:
            report = engine.heal.begin(_request(engine, given))
        heal_id = report.id
        with notice_at_interrupt(lambda: notice_of_heal(target, heal_id)):
            report = _backtested(engine, target, heal_id, given)
            if not dry_run:
                report = _waves(engine, target, report, given)
    if target.as_json:
        print_json(as_json(report))
    elif dry_run:
        say(f"openagents runs heal --resume {report.id} heals what is fixed")
    else:
        _say_end(report)
    return 0 if dry_run or report.well else 1


def _backtested(
    engine: Engine, target: Target, heal_id: str, given: dict[str, Any]
) -> HealReport:
    tell = _quiet if target.as_json else _tell
    report = engine.heal.backtest(
        heal_id,
        target.components,
        limit_ms=given["step_timeout"],
        tell=tell,
        sandbox=_sandbox_settings(target, given),
        tell_sandbox=tell,
    )
    if not target.as_json:
        _show(report)
    return report


def _waves(
    engine: Engine, target: Target, report: HealReport, given: dict[str, Any]
) -> HealReport:
    settings = target.settings
    workers = given["workers"]
    if workers is None:
        workers = 0 if settings.url else 2
    is_undone = report.counts["fixed"] and report.status != "closed"
    works_here = workers and target.components
    # Workers of a server may do it; a store of this machine has none but those of this command.
    if is_undone and not settings.url and not works_here:
        raise click.UsageError(
            f"nobody would do the work of {report.id}: give the components with -c, and --workers"
        )
    if is_undone and works_here:
        engine.work_as(settings, workers)
    seconds = given["wave_timeout"] / 1000
    tell = _quiet if target.as_json else _tell
    if is_undone and not works_here and not engine.workers():
        _tell(f"no worker is alive in this store; start one with `{target.worker()}`")
    # Somebody may start a worker while this waits: that nobody works is said above.
    return engine.heal.go_on(
        report.id,
        wave_seconds=seconds,
        idle_seconds=None,
        force=given["force"],
        tell=tell,
    )


def _request(engine: Engine, given: dict[str, Any]) -> HealRequest:
    from cli.inputs.given import given_inputs
    from openagents_json.engine import Fix, HealRequest

    if not given["where"]:
        raise click.UsageError(
            f"say which failed runs with --where NAME=VALUE ({FAILED_RUNS})"
        )
    workflow = given["workflow"]
    plan = None if workflow is None else engine.plan(workflow)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)  # noqa: TID251 - the edge
    chosen = with_full_ids(chosen_by(given["where"], now_ms), engine.views)
    edits = given_inputs(given["pairs"], option="--set")
    declared: Mapping[str, Any] = {}
    if edits:
        declared = plan.parameters if plan else _declared(engine, chosen)
    mocks = _mocks(given["mocks"], given["mocks_file"])
    fix = Fix(plan, edits.typed(declared), mocks)
    return HealRequest(
        chosen=chosen,
        fix=fix,
        waves=given["waves"],
        stop_after_failures=given["stop"],
        limit=given["limit"],
        reason=given["reason"],
    )


def _declared(engine: Engine, chosen: RunFilter) -> Mapping[str, Any]:
    """Return the inputs that the newest of the chosen runs declares, none where there is no such run."""
    from openagents_json.engine.inputs.declared import inputs_of_run

    newest = engine.views.runs(replace(chosen, status=("failed",)), limit=1).items
    if newest:
        return inputs_of_run(engine, newest[0].id)
    return {}


def _sandbox_settings(target: Target, given: dict[str, Any]) -> SandboxSettings:
    from openagents_json.engine import SandboxSettings
    from openagents_json.engine.settings import own_secrets

    files = target.resolved.secret_files
    secrets = (*own_secrets(target.settings), *files)
    return SandboxSettings(given["sandbox"] == "strict", given["variables"], secrets)


def _mocks(pairs: tuple[str, ...], file: str | None) -> dict[str, Any]:
    from cli.inputs.given import given_inputs

    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not STEP=JSON", param_hint="--mock")
    return given_inputs(pairs, file, "--mock", "--mocks").typed({})


def _show(report: HealReport) -> None:
    verdicts = [
        report.verdicts[run]
        for run in report.request["order"]
        if run in report.verdicts
    ]
    rows = (
        (x.run, x.verdict, ", ".join(x.again), str(len(x.reused)), short(x.reason, 300))
        for x in verdicts
    )
    if verdicts:
        console().print(table(("run", "verdict", "done again", "reused", "why"), rows))
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    # Where both arrive on one terminal, it was told there before the backtest began.
    is_told = sys.stdout.isatty() and sys.stderr.isatty()
    if report.sandbox is not None and not is_told:
        say_lines(report.sandbox.text())
    if not verdicts:
        note("no failed run fits what --where says")
    more = ""
    if report.more:
        more = f" (there are more runs than the {len(verdicts)} of --limit)"
    say(f"{report.id}: {counts}{more}")


def _say_end(report: HealReport) -> None:
    ended = ", ".join(f"{count} {name}" for name, count in report.ended.items())
    say(
        f"{report.id} is {report.status}: {len(report.healed)} healed ({ended}), {len(report.skipped)} skipped"
    )
    for run, why in sorted(report.skipped.items()):
        say(f"  {run} is left alone: {why}")
    if report.left and report.closed:
        say(
            f"  {len(report.left)} are left: they are in no wave of {','.join(report.request['waves'])}"
        )
    if report.stopped:
        say(
            f"  it stopped: {report.stopped}; look at them, then --resume {report.id} --force goes on"
        )


def _tell(text: str) -> None:
    note(text)


def _quiet(_: str) -> None:
    """Say nothing: what comes of it is printed as JSON."""
