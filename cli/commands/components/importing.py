"""Components from the description of an API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.options import quiet_option
from cli.terminal import give, note
from openagents_json.errors import file_errors

if TYPE_CHECKING:
    from openagents_json.engine.components import Imported


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--name",
    default="",
    help="How the names of the components begin.  [default: its title]",
)
@click.option(
    "--server", default="", help="Where the API is.  [default: its first server]"
)
@click.option("--output", metavar="FILE", help="Write the specs to this file.")
@quiet_option()
def import_components(file: str, name: str, server: str, output: str | None) -> None:
    """Make components of the operations of an OpenAPI document.

    It is of version 3.0 or 3.1, in JSON or YAML. The command prints the specs of the components, for a file that
    --components takes like a module. Nothing is sent anywhere.

    \b
    Example: openagents components import openapi.yaml --output shop.json
    """
    from openagents_json.engine.components import import_openapi

    imported = import_openapi(file, name=name, server=server)
    text = json.dumps(imported.specs, indent=2, ensure_ascii=False)
    if output is None:
        give(text)
    else:
        with file_errors(output, "choose a folder in which files can be written"):
            Path(output).write_text(f"{text}\n", encoding="utf-8")
    _tell(imported)


def _tell(imported: Imported) -> None:
    """Say on stderr which components there are, and what may not be meant so."""
    specs = imported.specs["components"]
    for spec in specs:
        http = spec["http"]
        note(f"{spec['name']}@{spec['version']}  {http['method']} {http['path']}")
    for text in imported.notes:
        note(f"note: {text}")
