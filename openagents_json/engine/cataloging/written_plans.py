"""Documents as they are written: compiled whether anybody has their components or not."""

from __future__ import annotations

from openagents_json.engine.documents import Document, load_document
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.definition import define
from openagents_json.workflow.errors import InvalidDefinition
from openagents_json.workflow.history.document_diff import (
    WorkflowDiff,
    compared,
    lines,
)
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.validate import check

__all__ = ["WorkflowDiff", "diff_documents", "lines", "written_plan"]


def written_plan(document: Document) -> Plan:
    """Return the plan of a document that is bound to no components.

    Raises DocumentUnreadable and InvalidDefinition.
    """
    checked = check(load_document(document).source())
    if not checked.report.valid:
        raise InvalidDefinition(checked.report)
    definition = define(checked.report.document, {}, checked.names, checked.encoded)
    return compile_plan(definition)


def diff_documents(one: Document, other: Document) -> WorkflowDiff:
    """Compare two documents, without a store.

    Raises DocumentUnreadable and InvalidDefinition.
    """
    return compared(written_plan(one), written_plan(other))
