"""Begin a project: a workflow, its components and a test, all of which run as they are."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from cli.commands.project_files import project_files
from cli.options import quiet_option
from cli.render import answer
from openagents_json.errors import Conflict, file_errors

REMEDY = "choose a folder in which files can be written"


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path())
@quiet_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def init(folder: str, as_json: bool) -> None:
    """Begin a project in a folder: a workflow, components, a test. Files that are there are never overwritten.

    Example: openagents init my-project
    """
    root = Path(folder)
    files = project_files()
    _refuse_to_overwrite(root, list(files))
    for name, content in files.items():
        _write_new(root / name, content)
    message = [f"{root / name} written" for name in files]
    answer(
        {"folder": folder, "files": list(files)},
        [*message, *_next_commands(folder)],
        as_json=as_json,
    )


def _refuse_to_overwrite(root: Path, names: list[str]) -> None:
    """Refuse before the first file is written: half of a project beside another is of no use."""
    # A link to nowhere is a file of somebody too, so `exists` is not enough.
    existing = [name for name in names if os.path.lexists(root / name)]
    if existing:
        raise Conflict(
            f"{root} has {', '.join(existing)} already, and nothing was written",
            remedy="choose another folder: openagents init DIR",
        )


def _write_new(path: Path, content: str) -> None:
    with file_errors(path, REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        # "x" refuses a file that somebody has written since we looked.
        with path.open("x", encoding="utf-8") as file:
            file.write(content)


def _next_commands(folder: str) -> list[str]:
    change_folder = [] if folder == "." else [f"  cd {shlex.quote(folder)}"]
    return [
        "next:",
        *change_folder,
        "  openagents run workflow.json --input name=Ada -c components.py",
        "  openagents dev",
    ]
