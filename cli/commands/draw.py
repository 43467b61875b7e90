"""Draw workflows: in the terminal, for Mermaid, or as SVG; of a run, with how its steps stand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli.commands.run import document_of
from cli.options import Target, knowing_options
from cli.render import COLOURS, console, print_json
from cli.run_ids import RUN
from cli.terminal import give, line
from openagents_json.errors import file_errors

if TYPE_CHECKING:
    from openagents_json.engine.pictures.graph import Graph

FORMATS: Final = ("text", "mermaid", "svg")
SVG_COLUMNS: Final = 120
"""How wide an SVG is at most, in characters."""


@click.command()
@click.argument(
    "file", metavar="[FILE|WORKFLOW]", required=False, type=click.Path(dir_okay=False)
)
@click.option("--run", type=RUN, help="The workflow of this run, with its statuses.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="What to draw with.",
)
@click.option("--output", metavar="FILE", help="Write it to this file.")
@knowing_options
def draw(
    target: Target, file: str | None, run: str | None, form: str, output: str | None
) -> None:
    """Draw a workflow, or that of a run with its statuses. A file named - is standard input.

    With --json, it is the steps and the ways between them.

    \b
    Examples:
      openagents workflows draw workflow.json
      openagents workflows draw --run RUN
      openagents workflows draw workflow.json --format svg --output workflow.svg
    """
    if (file is None) == (run is None):
        raise click.UsageError("give a file, a workflow, or --run RUN: one of them")
    graph = _graph(target, file or "", run)
    if target.as_json:
        print_json(graph)
        return
    if form == "text" and output is None:
        _draw_text(graph)
        return
    picture = _written(graph, form)
    if output is None:
        give(picture, nl=False)
        return
    with file_errors(output, "choose a folder in which files can be written"):
        Path(output).write_text(picture, encoding="utf-8")


def _graph(target: Target, file: str, run: str | None) -> Graph:
    from openagents_json.engine.documents import is_reference
    from openagents_json.engine.pictures.sources import (
        document_graph,
        run_graph,
        workflow_graph,
    )

    if run is not None:
        with target.engine() as engine:
            return run_graph(engine, run)
    if file != "-" and is_reference(file):
        with target.engine() as engine:
            return workflow_graph(engine, file)
    return document_graph(document_of(Path(file)))


def _written(graph: Graph, form: str) -> str:
    from openagents_json.engine.pictures.canvas import text_of
    from openagents_json.engine.pictures.drawing import drawing_of
    from openagents_json.engine.pictures.mermaid import mermaid_of
    from openagents_json.engine.pictures.svg import svg_of

    if form == "mermaid":
        return mermaid_of(graph)
    if form == "svg":
        return svg_of(drawing_of(graph, SVG_COLUMNS), graph.title)
    rows = text_of(drawing_of(graph, _columns()))
    return "".join(f"{''.join(piece.text for piece in row)}\n" for row in rows)


def _draw_text(graph: Graph) -> None:
    from rich.text import Text

    from openagents_json.engine.pictures.canvas import text_of
    from openagents_json.engine.pictures.drawing import drawing_of

    terminal = console()
    terminal.print(Text(line(graph.title), "bold"))
    plain = terminal.options.ascii_only
    for row in text_of(drawing_of(graph, _columns()), plain=plain):
        drawn = Text()
        for piece in row:
            weight = "bold " if piece.is_name else ""
            drawn.append(line(piece.text), f"{weight}{COLOURS.get(piece.status, '')}")
        terminal.print(drawn, soft_wrap=True)


def _columns() -> int:
    """Return the width of the terminal, and of a usual one where there is none."""
    return shutil.get_terminal_size().columns
