"""Workflows as a service takes them: the document itself, or the reference of a published one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openagents_json.engine.documents import Document


def sent_workflow(workflow: Document) -> Any:
    """Return a workflow as it is sent; a file is read here, on the caller's machine.

    Raises DocumentUnreadable and NotADocument.
    """
    from openagents_json.engine.documents import is_reference

    if isinstance(workflow, str) and is_reference(workflow):
        return str(workflow)
    return sent_document(workflow)


def sent_document(workflow: Document) -> Any:
    """Return the content of a document.

    Raises DocumentUnreadable and NotADocument.
    """
    from openagents_json.engine.documents import load_document

    source = load_document(workflow).source()
    if source.wrong is not None:
        raise source.wrong
    return source.value


def sent_signal(payload: Any, key: str | None, by: str, reason: str) -> dict[str, Any]:
    """Return what a signal says, as it is sent."""
    return {"payload": payload, "key": key, "by": by, "reason": reason}


def sent_inputs(inputs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return inputs as they are sent."""
    return dict(inputs or {})
