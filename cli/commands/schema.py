"""The JSON Schema of documents, for editors and for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cli.options import quiet_option
from cli.terminal import give
from openagents_json.errors import file_errors


@click.command()
@click.option("--output", metavar="FILE", help="Write it to this file.")
@quiet_option()
def schema(output: str | None) -> None:
    """Print the JSON Schema of workflows, for editors.

    Attached to an editor, it completes and checks documents.

    \b
    Example: openagents workflows schema --output workflow.schema.json
    """
    from openagents_json.engine.documents import document_schema

    text = json.dumps(document_schema(), indent=2, ensure_ascii=False)
    if output is None:
        give(text)
        return
    with file_errors(output, "choose a folder in which files can be written"):
        Path(output).write_text(f"{text}\n", encoding="utf-8")
