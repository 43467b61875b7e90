"""Published workflows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from openagents_json.client.calls.call import Call, as_type, get, path
from openagents_json.client.calls.documents import sent_document, sent_workflow

if TYPE_CHECKING:
    from openagents_json.engine import Report
    from openagents_json.engine.cataloging.written_plans import WorkflowDiff
    from openagents_json.engine.documents import Document
    from openagents_json.engine.steering.published import WorkflowUses


def published() -> Call[dict[str, dict[str, Any]]]:
    """Return the call for what is published."""

    def read(value: Any) -> dict[str, dict[str, Any]]:
        return dict(value["versions"])

    return get(path("workflows"), read)


def aliases() -> Call[dict[str, dict[str, Any]]]:
    """Return the call for what aliases mean."""

    def read(value: Any) -> dict[str, dict[str, Any]]:
        return dict(value["aliases"])

    return get(path("workflows"), read)


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A published version: its document, and the hash of that with its bindings."""

    id: str
    version: str
    hash: str
    document: dict[str, Any]


def version(reference: str) -> Call[PublishedVersion]:
    """Return the call for a published workflow."""
    return get(_version(reference), as_type(PublishedVersion))


def publish(workflow: Document, alias: str | None) -> Call[str]:
    """Return the call that publishes a document; the same again changes nothing, so it may arrive twice."""

    def read(value: Any) -> str:
        return str(value["name"])

    body = {"document": sent_document(workflow), "alias": alias}
    return Call("POST", path("workflows"), read, body=body, repeatable=True)


def validate(workflow: Document) -> Call[Report]:
    """Return the call that finds every problem of a document."""
    from openagents_json.engine import Problem, Report

    document = sent_document(workflow)

    def read(value: Any) -> Report:
        problems = msgspec.convert(value["problems"], tuple[Problem, ...])
        return Report(problems, document)

    where = path("workflows", "validate")
    return Call("POST", where, read, body={"document": document}, repeatable=True)


def diff(one: Document, other: Document) -> Call[WorkflowDiff]:
    """Return the call that compares two versions of a workflow."""
    from openagents_json.engine.cataloging.written_plans import WorkflowDiff

    body = {"one": sent_workflow(one), "other": sent_workflow(other)}
    where = path("workflows", "diff")
    return Call("POST", where, as_type(WorkflowDiff), body=body, repeatable=True)


def uses(workflow: str) -> Call[WorkflowUses]:
    """Return the call for who uses a published version."""
    from openagents_json.engine.steering.published import WorkflowUses

    return get(f"{_version(workflow)}/uses", as_type(WorkflowUses))


def unpublish(workflow: str, *, force: bool) -> Call[WorkflowUses]:
    """Return the call that publishes a version no more."""
    from openagents_json.engine.steering.published import WorkflowUses

    query = {"force": "true"} if force else {}
    read = as_type(WorkflowUses)
    return Call("DELETE", _version(workflow), read, query=query)


def _version(workflow: str) -> str:
    id_, _, version = workflow.partition("@")
    version = version or "*"
    return path("workflows", id_, "versions", version)
