"""Versions of a workflow side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cli.completion.types import DOCUMENT_OR_WORKFLOW
from cli.options import Target, reading_options
from cli.render import answer

if TYPE_CHECKING:
    from openagents_json.engine.cataloging.written_plans import WorkflowDiff


@click.command("diff")
@click.argument("one", metavar="ONE", type=DOCUMENT_OR_WORKFLOW)
@click.argument("other", metavar="OTHER", type=DOCUMENT_OR_WORKFLOW)
@reading_options
def diff(target: Target, one: str, other: str) -> None:
    """Show what differs between two versions of a workflow.

    Steps, inputs, outputs and connections that are added (+), removed (-) or changed (~), and how many open runs stay
    with the older version. ONE and OTHER are published workflows (ID@VERSION, ID@ALIAS) or files; two files need no
    store.

    \b
    Examples:
      openagents workflows diff order@1.0.0 order@2.0.0
      openagents workflows diff order@stable order-2.json
    """
    from openagents_json.engine.cataloging.written_plans import lines

    compared = _compared(target, one, other)
    answer(compared, lines(compared), as_json=target.as_json)


def _compared(target: Target, one: str, other: str) -> WorkflowDiff:
    from openagents_json.engine.cataloging.written_plans import diff_documents
    from openagents_json.engine.documents import names_published

    if not (names_published(one) or names_published(other)):
        return diff_documents(one, other)
    with target.engine() as engine:
        return engine.workflows.diff(one, other)
