"""Validate documents: what is wrong with them, by how strict a mode, mended where that is sure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.commands.run import BAD_DOCUMENT, document_of, problem_line
from cli.options import Target, knowing_options
from cli.render import print_json
from cli.terminal import say

if TYPE_CHECKING:
    from openagents_json.engine import Registry, Report
    from openagents_json.engine.validation.document_set import DocumentSet

    Catalog = Registry | DocumentSet

MODES = ("strict", "normal", "permissive")
STANDARD_INPUT = "-"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False))
@click.option(
    "--connect/--no-connect",
    default=False,
    help="Ask the store which components its workers have.",
)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="normal",
    show_default=True,
    help="What is an error: strict, every warning too; permissive, not what others may still register.",
)
@click.option(
    "--fix",
    is_flag=True,
    help="Carry out suggestions in the files where it is sure what was meant.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Go on, and check each file again when it has changed.",
)
@knowing_options
def validate(
    target: Target,
    files: tuple[str, ...],
    connect: bool,
    mode: str,
    fix: bool,
    watch: bool,
) -> int:
    """Find every problem of workflow documents. A file named - is standard input.

    Exit code: 0 when all are valid, 4 otherwise.

    \b
    Examples:
      openagents validate workflow.json -c components.py
      openagents validate workflow.json --fix --mode strict
    """
    _refuse_combinations(files, fix=fix, watch=watch, once=connect or target.as_json)
    components = _components(target)
    if watch:
        from cli.live.documents import watch_files

        return watch_files(files, components, mode, print_report)
    if fix:
        _fix(files, _catalog(components, files))
    catalog = _catalog(components, files)
    reports = {file: _report(target, file, connect, mode, catalog) for file in files}
    print_reports(reports, as_json=target.as_json)
    is_valid = all(report.valid for report in reports.values())
    return 0 if is_valid else BAD_DOCUMENT


def _refuse_combinations(
    files: tuple[str, ...], *, fix: bool, watch: bool, once: bool
) -> None:
    """Refuse what does not go together.

    Raises click.UsageError.
    """
    needs_files = fix or watch
    if needs_files and STANDARD_INPUT in files:
        raise click.UsageError("--fix and --watch need files, not standard input")
    if watch and (fix or once):
        raise click.UsageError("--watch goes without --fix, --connect and --json")


def _components(target: Target) -> Registry | None:
    from openagents_json.engine import load_components

    return load_components(target.components) if target.components else None


def _catalog(components: Registry | None, files: Sequence[str]) -> Catalog | None:
    """Return what the files are validated against: several of them may call each other."""
    if components is None or len(files) < 2:
        return components
    from openagents_json.engine.validation.document_files import DocumentFiles
    from openagents_json.engine.validation.document_set import DocumentSet

    paths = (Path(x) for x in files if x != STANDARD_INPUT)
    return DocumentSet(components, DocumentFiles.named(paths))


def _fix(files: Sequence[str], catalog: Catalog | None) -> None:
    """Carry out suggestions, and say on stderr which."""
    from openagents_json.engine.validation.files import fix_file

    for file in files:
        for problem in fix_file(Path(file), catalog).fixed:
            say(f"{file}:{problem_line(problem)}: fixed", err=True)


def _report(
    target: Target, file: str, connect: bool, mode: Any, catalog: Catalog | None
) -> Report:
    from openagents_json.engine import find_problems
    from openagents_json.engine.documents import report_in_mode

    if connect:
        with target.engine() as engine:
            return report_in_mode(engine.validate(document_of(Path(file))), mode)
    return find_problems(document_of(Path(file)), catalog, mode)


def print_reports(reports: Mapping[str, Report], *, as_json: bool) -> None:
    """Print the reports of files by their names."""
    if as_json:
        print_json({file: _plain(report) for file, report in reports.items()})
        return
    for file, report in reports.items():
        print_report(file, report)


def print_report(file: str, report: Report) -> None:
    """Print whether a document is valid, and its problems."""
    verdict = "valid" if report.valid else "not valid"
    say(f"{file}: {verdict}")
    for problem in report.problems:
        line = problem_line(problem)
        say(f"  {line}")


def _plain(report: Report) -> Mapping[str, Any]:
    problems = report.problems
    return {"valid": report.valid, "problems": problems}
