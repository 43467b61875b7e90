"""Run and validate documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.commands.interrupts import notice_at_interrupt, notice_of_run
from cli.following import EXIT, follow
from cli.options import Target, target_options
from cli.render import console, print_json, status, text
from cli.terminal import read_input, say

if TYPE_CHECKING:
    from rich.text import Text

    from openagents_json.engine import Engine, HistoryEvent, Problem, Report

BAD_DOCUMENT: Final = 4
"""The exit status of documents that are not valid: that of the errors about them."""


def document_of(file: str | Path) -> str | bytes | Path:
    """Return a document as the engine takes it; `-` is standard input."""
    return read_input() if str(file) == "-" else file


def show_warnings(engine: Engine, name: str, document: str | bytes | Path) -> None:
    """Say on stderr what may not be meant so in a document; errors are told by whoever takes it."""
    from openagents_json.engine.documents import is_reference

    if isinstance(document, str) and is_reference(document):
        return
    for problem in engine.validate(document).problems:
        if problem.severity == "warning":
            say(f"{name}:{_problem(problem)}", err=True)


def read_json(text: str | bytes) -> Any:
    """Read JSON that somebody has written.

    Raises ValueError.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_inputs(
    pairs: tuple[str, ...], file: str | None, option: str = "--input"
) -> dict[str, Any]:
    """Read inputs: those of a file first, then the `name=value` of an option; a value that is JSON is taken as JSON."""
    inputs: dict[str, Any] = {}
    if file is not None:
        loaded = _read_json_file(file, "--input-file")
        if not isinstance(loaded, dict):
            raise click.BadParameter(
                f"{file} must hold a JSON object", param_hint="--input-file"
            )
        inputs.update(loaded)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not name=value", param_hint=option)
        inputs[name] = _value(value)
    return inputs


def _read_json_file(file: str, option: str) -> Any:
    try:
        return read_json(Path(file).read_bytes())
    except OSError as error:
        raise click.BadParameter(
            f"{file}: {error.strerror}", param_hint=option
        ) from error
    except ValueError as error:
        raise click.BadParameter(
            f"{file} is not JSON: {error}", param_hint=option
        ) from error


def _value(text: str) -> Any:
    """Read JSON, or else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
    except RecursionError as error:
        raise click.BadParameter("a value is nested too deeply") from error


def parse_payload(text: str | None, file: str | None) -> Any:
    """Read a payload: JSON from a file, JSON, or else text."""
    if file is not None:
        return _read_json_file(file, "--payload-file")
    return None if text is None else _value(text)


@click.command()
@click.argument("file", metavar="FILE|WORKFLOW", type=click.Path(dir_okay=False))
@click.option(
    "--input",
    "-i",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="An input; JSON, or else text.",
)
@click.option("--input-file", metavar="FILE", help="A JSON object with inputs.")
@click.option("--key", help="Idempotency key: the same key gives the same run.")
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
    input_file: str | None,
    key: str | None,
    detach: bool,
    timeout: float | None,
    workers: int,
) -> int:
    """Run a workflow, from its file (- is standard input) or a published one; progress on stderr, the result on stdout.

    Exit code: 0 completed, 1 failed, 3 cancelled, 4 bad document, 5 bad input, 8 timed out.
    """
    inputs = parse_inputs(pairs, input_file)
    with target.engine(workers=workers, create=True) as engine:
        document = document_of(file)
        show_warnings(engine, file, document)
        run_id = engine.start(document, inputs, idempotency_key=key)
        if detach:
            print_json({"id": run_id})
            return 0
        works_here = bool(target.components and workers)
        with notice_at_interrupt(
            lambda: notice_of_run(target, run_id, works=works_here)
        ):
            # The id comes first: with it, whatever happens next, the run can be found again.
            say(f"run {run_id}", err=True)
            show = _show_nothing if target.as_json else progress_printer(error=True)
            result = follow(engine, run_id, show, timeout=timeout)
    names = ("id", "status", "output", "error")
    print_json({name: getattr(result, name) for name in names})
    return EXIT.get(result.status, 1)


def _show_nothing(_: HistoryEvent) -> None:
    """Show no progress: only the result is printed, as JSON."""


def progress_printer(*, error: bool = False) -> Callable[[HistoryEvent], None]:
    """Return what prints a line of progress for an event."""
    terminal = console(error=error)
    return lambda event: terminal.print(progress(event))


def progress(event: HistoryEvent) -> Text:
    """Return one line of progress."""
    from rich.text import Text

    step = f" {event.step}" if event.step else ""
    is_repeated = event.attempt is not None and event.attempt > 1
    attempt = f" (attempt {event.attempt})" if is_repeated else ""
    error = event.data.get("error")
    why = f": {error['type']}: {error['message']}" if isinstance(error, dict) else ""
    name = event.type.removeprefix("Step").removeprefix("Run").lower()
    kind = "run" if event.type.startswith("Run") else "step"
    return Text.assemble(
        (f"{event.version:>4}", "dim"),
        text(f" {kind}{step} "),
        status(name),
        text(f"{attempt}{why}"),
    )


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option(
    "--connect/--no-connect",
    default=False,
    help="Ask the store which components its workers have.",
)
@target_options
def validate(target: Target, files: tuple[str, ...], connect: bool) -> int:
    """Find every problem of workflow documents; - is standard input.

    Exit code: 0 when all are valid, 4 otherwise.
    """
    reports = {file: _report(target, file, connect) for file in files}
    if target.as_json:
        documents = {
            file: {"valid": report.valid, "problems": report.problems}
            for file, report in reports.items()
        }
        print_json(documents)
    else:
        for file, report in reports.items():
            _print_report(file, report)
    is_valid = all(report.valid for report in reports.values())
    return 0 if is_valid else BAD_DOCUMENT


def _report(target: Target, file: str, connect: bool) -> Report:
    from openagents_json.engine import find_problems, load_components

    if connect:
        with target.engine() as engine:
            return engine.validate(document_of(Path(file)))
    catalog = load_components(target.components) if target.components else None
    return find_problems(document_of(Path(file)), catalog)


def _print_report(file: str, report: Report) -> None:
    say(f"{file}: {'valid' if report.valid else 'not valid'}")
    for problem in report.problems:
        say(f"  {_problem(problem)}")


def _problem(problem: Problem) -> str:
    where = problem.pointer or "/"
    if problem.line:
        where = f"{problem.line}:{problem.column}"
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return f"{where}: {problem.severity} {problem.code}: {problem.message}{hint}"
