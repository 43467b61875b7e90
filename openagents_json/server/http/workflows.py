"""Workflows in bodies of requests: the document itself, or the reference of a published one."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

from openagents_json.engine import WorkflowReference

_REFERENCE: Final = re.compile(r"[a-zA-Z0-9_-]+(@[^\x00-\x20\x7f]*)?")
"""Without `\\S`: which characters are white differs between languages."""


def _workflow(value: Any) -> Any:
    """Refuse what is neither a document nor a reference, in one sentence."""
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and _REFERENCE.fullmatch(value):
        return value
    raise ValueError(
        "it must be a document, or name a published workflow: id, id@range or id@alias"
    )


Workflow = Annotated[
    Any,
    AfterValidator(_workflow),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object"},
                {"type": "string", "pattern": f"^{_REFERENCE.pattern}$"},
            ],
            "description": "A document, or a published workflow: `id`, `id@range` or `id@alias`.",
        }
    ),
]


def document_of(workflow: dict[str, Any] | str) -> dict[str, Any] | WorkflowReference:
    """Return a workflow as the engine takes it: a text names a published one, and never a file of this machine."""
    return WorkflowReference(workflow) if isinstance(workflow, str) else workflow
