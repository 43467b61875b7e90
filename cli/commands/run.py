"""Run documents."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli.completion.types import DOCUMENT_OR_WORKFLOW
from cli.failing.interrupts import notice_at_interrupt, notice_of_run
from cli.following import EXIT, follow
from cli.options import (
    RenamedOption,
    Target,
    input_options,
    label_option,
    labels_of,
    target_options,
)
from cli.render import print_json
from cli.terminal import is_quiet, note, read_input

if TYPE_CHECKING:
    from cli.live.items import LookUp
    from cli.live.progress import ProgressPrinter
    from openagents_json.engine import Engine, HistoryEvent, Problem
    from openagents_json.engine.documents import Document

BAD_DOCUMENT: Final = 4
"""The exit status of documents that are not valid: that of the errors about them."""


def document_of(file: str | Path) -> Document:
    """Return a document as the engine takes it; `-` is standard input, in JSON or YAML."""
    if str(file) != "-":
        return file
    from openagents_json.engine.documents import document_from_text

    return document_from_text(read_input())


def show_warnings(engine: Engine, name: str, document: Document) -> None:
    """Say on stderr what may not be meant so in a document; errors are told by whoever takes it."""
    from openagents_json.engine.documents import is_reference

    if isinstance(document, str) and is_reference(document):
        return
    for problem in engine.validate(document).problems:
        if problem.severity == "warning":
            note(f"{name}:{problem_line(problem)}")


@click.command()
@click.argument("file", metavar="FILE|WORKFLOW", type=DOCUMENT_OR_WORKFLOW)
@input_options
@label_option
@click.option(
    "--idempotency-key",
    "key",
    cls=RenamedOption,
    formerly="--key",
    help="With the same key, the run is started only once.",
)
@click.option(
    "--business-key",
    metavar="KEY",
    help="Under the same key, one run of a workflow is open at a time.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(["use-existing", "reject", "replace", "after-closed"]),
    help="What to do where a run of the business key is open.  [default: reject]",
)
@click.option(
    "--budget",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="How much the run may use: cost=2.50, tokens=20000, on_exceeded=pause.",
)
@click.option("--detach", is_flag=True, help="Print the run's id and do not wait.")
@click.option(
    "--timeout",
    type=click.FloatRange(0),
    help="Seconds to wait; the run goes on after that.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 1000),
    default=4,
    show_default=True,
    help="Threads that run the given components.",
)
@target_options
def run(
    target: Target,
    file: str,
    pairs: tuple[str, ...],
    inputs_file: str | None,
    labels: tuple[str, ...],
    limits: tuple[str, ...],
    key: str | None,
    business_key: str | None,
    on_conflict: str | None,
    detach: bool,
    timeout: float | None,
    workers: int,
) -> int:
    """Run a workflow: a file, or a published one. Progress goes to stderr, the result to stdout; - is standard input.

    Exit code: 0 completed, 1 failed, 3 cancelled, 4 bad document, 5 bad input, 8 timed out.

    \b
    Examples:
      openagents run workflow.json -i name=Ada -c components.py
      openagents run greeting@^1 --label team=sales --detach
    """
    from cli.inputs.given import given_inputs, refuse_two_readers
    from openagents_json.engine.inputs.declared import declared_inputs
    from openagents_json.engine.usage.budgets import budget_from_texts

    refuse_two_readers(file, inputs_file, *pairs)
    given = given_inputs(pairs, inputs_file)
    named = labels_of(labels) or None
    budget = budget_from_texts(limits)
    with target.engine(workers=workers, create=True) as engine:
        document = document_of(file)
        show_warnings(engine, file, document)
        declared = declared_inputs(engine, document, key)
        inputs = given.typed(declared.parameters)
        run_id = engine.start(
            declared.workflow,
            inputs,
            idempotency_key=key,
            labels=named,
            budget=budget,
            business_key=business_key,
            on_conflict=on_conflict,
        )
        if detach:
            print_json({"id": run_id})
            return 0
        works_here = bool(target.components and workers)
        return follow_to_end(target, engine, run_id, timeout=timeout, works=works_here)


def follow_to_end(
    target: Target,
    engine: Engine,
    run: str,
    *,
    after: int = 0,
    timeout: float | None,
    works: bool,
) -> int:
    """Show how a run goes on after a version until it has ended, then its result; gives the exit code.

    `works` says that its steps may run in this process. Raises WaitTimeout.
    """
    with notice_at_interrupt(lambda: notice_of_run(target, run, works=works)):
        # The id comes first: with it, whatever happens next, the run can be found again.
        note(f"run {run}")
        is_silent = target.as_json or is_quiet()
        show = _show_nothing if is_silent else _progress_of(engine, run)
        result = follow(
            engine,
            run,
            show,
            after=after,
            timeout=timeout,
            target=target,
        )
    names = ("id", "status", "output", "error")
    print_json({name: getattr(result, name) for name in names})
    return EXIT.get(result.status, 1)


def _progress_of(engine: Engine, run_id: str) -> ProgressPrinter:
    look_up = partial(engine.foreach_items, run_id)
    return progress_printer(error=True, look_up=look_up)


def _show_nothing(_: HistoryEvent) -> None:
    """Show no progress: only the result is printed, as JSON."""


def progress_printer(
    *, error: bool = False, look_up: LookUp = lambda _: None
) -> ProgressPrinter:
    """Return what prints the progress of one run, a line for an event."""
    from cli.live.progress import ProgressPrinter

    return ProgressPrinter(error=error, look_up=look_up)


def problem_line(problem: Problem) -> str:
    """Return a problem of a document with its place, on one line."""
    where = problem.pointer or "/"
    if problem.line:
        where = f"{problem.line}:{problem.column}"
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{where}: {problem.severity} {problem.code}: {problem.message}{hint}"
