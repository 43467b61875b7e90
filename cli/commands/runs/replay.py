"""Runs again: retry, rerun, skip, complete, fork; and what was and what differs: state, diff, explain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from cli.commands.run import parse_inputs, parse_payload
from cli.following import EXIT, follow
from cli.options import Target, target_options
from cli.render import answer, print_json
from cli.run_ids import RUN
from cli.terminal import say
from cli.times import Time

if TYPE_CHECKING:
    from openagents_json.engine import Change, Comparison, Engine

reason_option = click.option(
    "--reason", default="", help="Why; it is kept in the history."
)
set_option = click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="PATH=VALUE",
    help="Another input of the run, or a part of one; JSON, or text.",
)


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--from",
    "step",
    default="",
    metavar="STEP",
    help="Begin with this step again, and all behind it.",
)
@set_option
@click.option(
    "--workflow",
    metavar="FILE|NAME@VERSION",
    help="Go on by another version of the workflow.",
)
@reason_option
@target_options
def retry(
    target: Target,
    run: str,
    step: str,
    pairs: tuple[str, ...],
    workflow: str | None,
    reason: str,
) -> None:
    """Let a closed run go on from what failed; nothing that completed runs again, unless it is behind STEP."""
    with target.engine() as engine:
        engine.retry(
            run,
            step=step,
            inputs=_edited(engine, run, pairs),
            reason=reason,
            workflow=workflow,
        )
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@set_option
@click.option(
    "--workflow",
    metavar="FILE|NAME@VERSION",
    help="Go on by another version of the workflow.",
)
@click.option(
    "--explain",
    "wait",
    is_flag=True,
    help="Wait for its end, and say why each step ran or did not.",
)
@reason_option
@target_options
def replay(
    target: Target,
    run: str,
    pairs: tuple[str, ...],
    workflow: str | None,
    wait: bool,
    reason: str,
) -> int:
    """Do a closed run again; results stand where component, definition and inputs of a step have not changed.

    Exit code with --explain: 0 completed, 1 failed, 3 cancelled.
    """
    with target.engine() as engine:
        plan = None if workflow is None else engine.plan(workflow)
        engine.replay.replay(
            run, inputs=_edited(engine, run, pairs), reason=reason, plan=plan
        )
        status = follow(engine, run).status if wait else engine.state(run).status
        report = engine.replay.replayed(run) if wait else None
    if report is not None and target.as_json:
        print_json({"id": run, "status": status, "replayed": report})
    else:
        tell_status(target, run, status)
        for line in report.lines() if report is not None else ():
            say(line)
    return EXIT.get(status, 1) if wait else 0


@click.command()
@click.argument("run", type=RUN)
@click.argument("step")
@set_option
@reason_option
@target_options
def rerun(
    target: Target, run: str, step: str, pairs: tuple[str, ...], reason: str
) -> None:
    """Let a closed run do a step again, with all that is behind it."""
    with target.engine() as engine:
        engine.retry(run, step=step, inputs=_edited(engine, run, pairs), reason=reason)
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@click.argument("step")
@reason_option
@target_options
def skip(target: Target, run: str, step: str, reason: str) -> None:
    """Let a run go on as if a step had been skipped; what refers to its result gets null."""
    with target.engine() as engine:
        engine.replay.skip(run, step, reason)
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@click.argument("step")
@click.option("--output", help="The result of the step; JSON, or else text.")
@click.option("--output-file", metavar="FILE", help="A file with the result as JSON.")
@reason_option
@target_options
def complete(
    target: Target,
    run: str,
    step: str,
    output: str | None,
    output_file: str | None,
    reason: str,
) -> None:
    """Let a run go on as if a step had returned a result."""
    value = parse_payload(output, output_file)
    with target.engine() as engine:
        engine.replay.complete(run, step, value, reason)
        tell_status(target, run, engine.state(run).status)


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--at",
    type=click.IntRange(1),
    required=True,
    metavar="VERSION",
    help="The last event that is kept.",
)
@set_option
@reason_option
@click.option(
    "--idempotency-key", help="With the same key, the fork is made only once."
)
@target_options
def fork(
    target: Target,
    run: str,
    at: int,
    pairs: tuple[str, ...],
    reason: str,
    idempotency_key: str | None,
) -> None:
    """Begin a new run with the same past up to an event; see `runs history` for their numbers."""
    with target.engine() as engine:
        inputs = _edited(engine, run, pairs)
        new = engine.replay.fork(
            run, at, inputs=inputs, reason=reason, idempotency_key=idempotency_key
        )
        tell_status(target, new, engine.state(new).status)


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--at",
    metavar="VERSION|TIME",
    help="After this event, or at this time (2026-11-23T08:00, or 2h ago).",
)
@target_options
def state(target: Target, run: str, at: str | None) -> None:
    """Print a run with its steps as it is, or as it was, as JSON."""
    version = int(at) if at and re.fullmatch("[0-9]{1,18}", at) else None
    time_ms = Time().convert(at, None, None) if at and version is None else None
    with target.engine() as engine:
        print_json(engine.replay.state_at(run, version=version, time_ms=time_ms))


@click.command()
@click.argument("one", type=RUN)
@click.argument("other", type=RUN)
@target_options
def diff(target: Target, one: str, other: str) -> int:
    """Compare two runs. Exit code: 0 when nothing differs, 1 otherwise."""
    with target.engine() as engine:
        comparison = engine.replay.diff(one, other)
    answer(comparison, _lines(comparison), as_json=target.as_json)
    return 0 if comparison.same else 1


@click.command()
@click.argument("run", type=RUN)
@target_options
def explain(target: Target, run: str) -> None:
    """Say why a run is as it is: where it failed or waits, and how it differs from the nearest that completed."""
    with target.engine() as engine:
        explanation = engine.explain(run)
    answer(explanation, explanation.lines(), as_json=target.as_json)


def _lines(comparison: Comparison) -> Iterable[str]:
    if comparison.same:
        yield "nothing differs"
        return
    one_status, other_status = comparison.status
    if one_status != other_status:
        yield f"status: {one_status} | {other_status}"
    if comparison.first is not None:
        first = comparison.first
        where = f"step {first.step}" if first.step else "the run"
        yield (
            f"they part at {where}: event {first.one_version or '-'} {first.one or 'nothing'} "
            f"| event {first.other_version or '-'} {first.other or 'nothing'}"
        )
    yield from _changes("input", comparison.inputs)
    for step in comparison.steps:
        if step.one != step.other:
            yield f"step {step.step}: {step.one or 'never began'} | {step.other or 'never began'}"
        yield from _changes(f"step {step.step} input", step.inputs)
        yield from _changes(f"step {step.step} output", step.output)
        yield from _changes(f"step {step.step} error", step.error)
    yield from _changes("output", comparison.output)


def _changes(subject: str, changes: Iterable[Change]) -> Iterable[str]:
    for change in changes:
        one = "nothing" if change.missing == "one" else repr(change.one)
        other = "nothing" if change.missing == "other" else repr(change.other)
        yield f"{subject} {change.path}".rstrip() + f": {one} | {other}"


def _edited(engine: Engine, run: str, pairs: Iterable[str]) -> dict[str, Any] | None:
    """Return the inputs that change, whole: NAME=VALUE, or NAME.part[0]=VALUE for a part of one."""
    edits = parse_inputs(tuple(pairs), None, "--set")
    if not edits:
        return None
    from openagents_json.engine import CannotEdit, edited

    try:
        return edited(engine.state(run).inputs, edits)
    except CannotEdit as error:
        raise click.BadParameter(error.reason, param_hint="--set") from error


def tell_status(target: Target, run: str, status: str) -> None:
    """Say what the status of a run is now."""
    answer({"id": run, "status": status}, f"{run} {status}", as_json=target.as_json)
