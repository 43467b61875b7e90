"""Runs again: retry, rerun, skip, complete, fork; and what was and what differs: state, diff, explain."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from cli.commands.outcomes import GoingOn, tell_status, wait_options
from cli.commands.runs.steering.bulk import BulkRequest, bulk_options
from cli.completion.types import DOCUMENT_OR_WORKFLOW
from cli.following import EXIT, follow
from cli.options import (
    RenamedOption,
    Target,
    reading_options,
    reason_option,
    target_options,
)
from cli.remote.stores import need_store
from cli.render import answer, print_json
from cli.run_ids import RUN
from cli.terminal import say
from cli.times import Time

if TYPE_CHECKING:
    from openagents_json.engine import Change, Comparison, Engine

set_option = click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="PATH=VALUE",
    help="Another input of the run, read by its type, or a part of one.",
)


@click.command()
@click.argument("runs", nargs=-1, type=RUN)
@bulk_options
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
    metavar="FILE|WORKFLOW",
    type=DOCUMENT_OR_WORKFLOW,
    help="Go on by another version of the workflow.",
)
@wait_options
@reason_option
@target_options
def retry(
    target: Target,
    runs: tuple[str, ...],
    step: str,
    pairs: tuple[str, ...],
    workflow: str | None,
    reason: str,
    **options: Any,
) -> int:
    """Retry failed runs from their failure. Nothing that completed runs again, unless it is behind STEP.

    One run is named, or several, or they are chosen with --where: those that have failed, unless it says otherwise.
    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out. Of many: 1 when one refuses.

    \b
    Examples:
      openagents runs retry RUN --wait -c components.py
      openagents runs retry --where error=TimeoutError --where ended_after=1d
    """
    request = BulkRequest.taken("retry", target, runs, options)
    then = GoingOn(target, **options)
    how = {"step": step, "reason": reason, "workflow": workflow}
    if request.is_one:

        def act(engine: Engine) -> None:
            edited = _edited(engine, runs[0], pairs, workflow)
            engine.retry(runs[0], inputs=edited, **how)  # type: ignore[arg-type]

        return then.after(runs[0], act)
    if pairs:
        raise click.UsageError("--set is for one run that is named")
    return request.carry_out(
        then,
        lambda engine, ids, tell: engine.bulk.retry(ids, tell=tell, **how),  # type: ignore[arg-type]
    )


@click.command()
@click.argument("run", type=RUN)
@set_option
@click.option(
    "--workflow",
    metavar="FILE|WORKFLOW",
    type=DOCUMENT_OR_WORKFLOW,
    help="Go on by another version of the workflow.",
)
@click.option(
    "--explain",
    "explains",
    is_flag=True,
    help="Wait for its end, and say why each step ran or did not.",
)
@wait_options
@reason_option
@target_options
def replay(
    target: Target,
    run: str,
    pairs: tuple[str, ...],
    workflow: str | None,
    explains: bool,
    wait: bool,
    reason: str,
    **options: Any,
) -> int:
    """Run a closed run again, keeping what has not changed. Results stand where component, definition and inputs do.

    Exit code with --wait or --explain: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs replay RUN --set amount=5 --explain
    """
    need_store(target, when=explains or workflow is not None)
    then = GoingOn(target, wait or explains, **options)

    def act(engine: Engine) -> None:
        plan = {} if workflow is None else {"plan": engine.plan(workflow)}
        inputs = _edited(engine, run, pairs, workflow)
        engine.replay.replay(run, inputs=inputs, reason=reason, **plan)

    if not explains:
        return then.after(run, act)
    with then.engine() as engine:
        act(engine)
        return _explained(then, engine, run)


def _explained(then: GoingOn, engine: Engine, run: str) -> int:
    """Wait for the end of a replay, and say why each step ran or did not."""
    with then.at_work(engine, run):
        result = follow(engine, run, timeout=then.timeout, target=then.target)
    status, report = result.status, engine.replay.replayed(run)
    if report is not None and then.target.as_json:
        print_json({"id": run, "status": status, "replayed": report})
    else:
        tell_status(then.target, run, status)
        for line in report.lines() if report is not None else ():
            say(line)
    return EXIT.get(status, 1)


@click.command()
@click.argument("run", type=RUN)
@click.argument("step")
@set_option
@wait_options
@reason_option
@target_options
def rerun(
    target: Target,
    run: str,
    step: str,
    pairs: tuple[str, ...],
    reason: str,
    **options: Any,
) -> int:
    """Run a step of a closed run again, and all that is behind it.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs rerun RUN pay --wait -c components.py
    """

    def act(engine: Engine) -> None:
        edited = _edited(engine, run, pairs)
        engine.retry(run, step=step, inputs=edited, reason=reason)

    return GoingOn(target, **options).after(run, act)


@click.command()
@click.argument("run", type=RUN)
@click.argument("step")
@wait_options
@reason_option
@target_options
def skip(target: Target, run: str, step: str, reason: str, **options: Any) -> int:
    """Skip a step: the run goes on without it. What refers to its result gets null.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs skip RUN notify --reason "no address"
    """
    return GoingOn(target, **options).after(
        run, lambda engine: engine.replay.skip(run, step, reason)
    )


@click.command()
@click.argument("run", type=RUN)
@click.argument("step")
@click.option(
    "--result",
    cls=RenamedOption,
    formerly="--output",
    help="The result of the step; JSON, or text, or @FILE.",
)
@click.option(
    "--result-file",
    cls=RenamedOption,
    formerly="--output-file",
    metavar="FILE",
    help="A file with the result as JSON.",
)
@wait_options
@reason_option
@target_options
def complete(
    target: Target,
    run: str,
    step: str,
    result: str | None,
    result_file: str | None,
    reason: str,
    **options: Any,
) -> int:
    """Complete a step by hand, with a result of your own. The run goes on as if the step had returned it.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs complete RUN pay --result '{"paid": true}'
    """
    from cli.inputs.given import given_value

    value = given_value(result, result_file, "--result").typed()
    return GoingOn(target, **options).after(
        run, lambda engine: engine.replay.complete(run, step, value, reason)
    )


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
@wait_options
@target_options
def fork(
    target: Target,
    run: str,
    at: int,
    pairs: tuple[str, ...],
    reason: str,
    idempotency_key: str | None,
    **options: Any,
) -> int:
    """Start a new run with the same past up to an event. See `runs history` for their numbers.

    Exit code with --wait: 0 completed, 1 failed, 3 cancelled, 8 timed out.

    \b
    Example: openagents runs fork RUN --at 7 --set amount=5 --wait
    """
    then = GoingOn(target, **options)
    with then.engine() as engine:
        inputs = _edited(engine, run, pairs)
        new = engine.replay.fork(
            run, at, inputs=inputs, reason=reason, idempotency_key=idempotency_key
        )
        return then.tell(engine, new, after=at)


@click.command()
@click.argument("run", type=RUN)
@click.option(
    "--at",
    metavar="VERSION|TIME",
    help="After this event, or at this time (2026-11-23T08:00, or 2h ago).",
)
@reading_options
def state(target: Target, run: str, at: str | None) -> None:
    """Print a run with its steps as it is, or as it was, as JSON.

    \b
    Example: openagents runs state RUN --at 2h
    """
    version = int(at) if at and re.fullmatch("[0-9]{1,18}", at) else None
    time_ms = Time().convert(at, None, None) if at and version is None else None
    with target.engine() as engine:
        print_json(engine.replay.state_at(run, version=version, time_ms=time_ms))


@click.command()
@click.argument("one", type=RUN)
@click.argument("other", type=RUN)
@reading_options
def diff(target: Target, one: str, other: str) -> int:
    """Compare two runs. Exit code: 0 when nothing differs, 1 otherwise.

    \b
    Example: openagents runs diff RUN OTHER
    """
    with target.engine() as engine:
        comparison = engine.replay.diff(one, other)
    answer(comparison, _lines(comparison), as_json=target.as_json)
    return 0 if comparison.same else 1


@click.command()
@click.argument("run", type=RUN)
@reading_options
def explain(target: Target, run: str) -> None:
    """Explain why a run failed or waits. It tells how the run differs from the nearest that completed.

    \b
    Example: openagents runs explain RUN
    """
    with target.engine() as engine:
        explanation = engine.explain(run)
    answer(explanation, explanation.lines(), as_json=target.as_json)


def _lines(comparison: Comparison) -> Iterable[str]:
    for build in comparison.builds:
        one, other = ", ".join(build.one), ", ".join(build.other)
        yield f"build of component {build.component}: {one} | {other}"
    if comparison.same:
        yield "nothing else differs" if comparison.builds else "nothing differs"
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


def _edited(
    engine: Engine, run: str, pairs: Iterable[str], workflow: str | None = None
) -> dict[str, Any] | None:
    """Return the inputs that change, whole: NAME=VALUE, or NAME.part[0]=VALUE for a part of one.

    They are read by the types that the run declares, or the version of its `workflow` by which it is to go on.
    """
    from cli.inputs.given import given_inputs

    given = given_inputs(pairs, option="--set")
    if not given:
        return None
    from openagents_json.engine import CannotEdit, edited
    from openagents_json.engine.inputs.declared import inputs_of_run

    if workflow is None:
        declared = inputs_of_run(engine, run)
    else:
        declared = engine.plan(workflow).parameters
    try:
        return edited(engine.state(run).inputs, given.typed(declared))
    except CannotEdit as error:
        raise click.BadParameter(error.reason, param_hint="--set") from error
