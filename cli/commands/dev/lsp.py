"""A language server for workflow documents, which an editor starts and speaks to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click

from cli.options import Target, editing_options


@click.command()
@click.option(
    "--stdio",
    is_flag=True,
    help="Speak over standard input and output, as it always does.",
)
@editing_options
def lsp(target: Target, stdio: bool) -> None:  # noqa: ARG001 - editors give it
    """Serve an editor: problems, completion, documentation.

    It speaks the Language Server Protocol for documents in JSON and YAML. An editor starts it.

    \b
    Example: openagents lsp -c components.py
    """
    if sys.stdin.isatty():
        raise click.UsageError("an editor starts it and speaks to it, not a person")
    try:
        from openagents_json.engine.editing.server import serve
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"it needs the package {error.name}: pip install 'openagents-json[lsp]'"
        ) from error
    with _spoken() as stdout:
        serve(target.components, sys.stdin.buffer, stdout)


@contextmanager
def _spoken() -> Iterator[BinaryIO]:
    """Give what the editor reads; what a component prints goes elsewhere, as it must not get between the messages."""
    usual = os.dup(1)
    with os.fdopen(os.dup(1), "wb") as stdout:
        os.dup2(2, 1)
        try:
            yield stdout
        finally:
            os.dup2(usual, 1)
            os.close(usual)
