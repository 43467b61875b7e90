"""The workflows of 0.1.4: documents by their id, checked, saved, removed, and as a picture."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from openagents_json.engine import Engine, InvalidArgument, Problem, UnknownWorkflow
from openagents_json.engine.cataloging.saving import save
from openagents_json.server.http.access import AsDeveloper, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import only_reads
from openagents_json.server.http.replies import Reply
from openagents_json.server.legacy.picture import Visualization, visualization

router = APIRouter(route_class=StrictRoute, tags=["0.1.4"])

_CONNECTION: Final = re.compile(r"^connections/(\d+)")

Version = Annotated[str, Query(max_length=256, description="A version, or a range.")]


class LegacyWorkflow(BaseModel):
    """A document, with what it leaves out."""

    model_config = ConfigDict(extra="allow")

    id: str
    name: str
    description: str | None
    version: str
    steps: list[Any]
    connections: list[Any]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    metadata: dict[str, Any] | None


class IssueLocation(BaseModel):
    """Where an issue is; `field` is the last name of its path."""

    path: str
    step_id: str | None
    connection_index: int | None
    field: str | None


class Issue(BaseModel):
    """A problem of a document."""

    code: str
    message: str
    severity: str
    location: IssueLocation
    suggestion: str | None
    details: dict[str, Any] | None


class ValidationResult(BaseModel):
    """Whether a document can run, and its issues."""

    valid: bool
    issues: list[Issue]


class Validation(BaseModel):
    """Whether a document can run, and why not."""

    valid: bool
    validation_result: ValidationResult


@router.get(
    "/workflows",
    operation_id="listWorkflowDocuments",
    response_model=list[LegacyWorkflow],
)
def list_documents(
    engine: AsViewer, tag: str | None = None, category: str | None = None
) -> Response:
    """List the newest version of each workflow, by the tags and the category of its metadata."""
    documents = _newest_of_each(engine)
    chosen = [each for each in documents if _has(each, tag, category)]
    return Reply([_shown(each) for each in chosen])


@router.post(
    "/workflows",
    status_code=201,
    operation_id="registerWorkflow",
    response_model=LegacyWorkflow,
)
def register(document: dict[str, Any], engine: AsDeveloper) -> Response:
    """Publish a document under its id and version; another one under the same is a 409."""
    return Reply(_shown(engine.workflows.document(engine.publish(document))), 201)


@router.post(
    "/workflows/validate",
    operation_id="checkWorkflow",
    response_model=Validation,
)
@only_reads
def validate(document: dict[str, Any], engine: AsViewer) -> Response:
    """Find every problem of a document."""
    report = engine.validate(document)
    issues = [_issue(problem) for problem in report.problems]
    result = {"valid": report.valid, "issues": issues}
    return Reply({"valid": report.valid, "validation_result": result})


@router.get(
    "/workflows/visualize/{workflow}",
    operation_id="visualizeWorkflow",
    response_model=Visualization,
)
def visualize(workflow: str, engine: AsViewer) -> Response:
    """Return the steps and connections of a workflow as the nodes and edges of a diagram."""
    return Reply(visualization(_document(engine, workflow, "")))


@router.get(
    "/workflows/{workflow}",
    operation_id="getWorkflow",
    response_model=LegacyWorkflow,
)
def get_workflow(workflow: str, engine: AsViewer, version: Version = "") -> Response:
    """Return a workflow: its newest version, or the one that is asked for."""
    return Reply(_shown(_document(engine, workflow, version)))


@router.put(
    "/workflows/{workflow}",
    operation_id="saveWorkflow",
    response_model=LegacyWorkflow,
)
def save_workflow(
    workflow: str, document: dict[str, Any], engine: AsDeveloper
) -> Response:
    """Save a document as the newest version of a workflow; a version that is there stays, and it gets the next one."""
    if document.setdefault("id", workflow) != workflow:
        raise InvalidArgument(
            f"the document is not that of {workflow!r}: it has another id",
            remedy="save it under its own id, or leave the id out",
        )
    return Reply(_shown(engine.workflows.document(save(engine, document))))


@router.delete(
    "/workflows/{workflow}",
    status_code=204,
    operation_id="deleteWorkflow",
)
def delete_workflow(
    workflow: str, engine: AsDeveloper, version: Version = ""
) -> Response:
    """Publish a version of a workflow no more, or all of them, the oldest first; one that is used stays (409)."""
    names = _published_as(engine, workflow, version)
    if not names:
        raise UnknownWorkflow(_reference(workflow, version), [])
    for name in names:
        engine.unpublish(name)
    return Response(status_code=204)


def _document(engine: Engine, workflow: str, version: str) -> dict[str, Any]:
    return engine.workflows.document(_reference(workflow, version))


def _reference(workflow: str, version: str) -> str:
    return f"{workflow}@{version}".removesuffix("@")


def _newest_of_each(engine: Engine) -> Iterator[dict[str, Any]]:
    for id_ in engine.workflows.ids():
        try:
            yield engine.workflows.document(id_)
        except UnknownWorkflow:
            continue  # it was withdrawn


def _published_as(engine: Engine, workflow: str, version: str) -> list[str]:
    names = (name.partition("@") for name in engine.workflows.published())
    versions = [text for id_, _, text in names if id_ == workflow]
    return [f"{workflow}@{each}" for each in versions if version in ("", each)]


def _has(document: Mapping[str, Any], tag: str | None, category: str | None) -> bool:
    metadata = document.get("metadata") or {}
    tags = metadata.get("tags")  # of any type: the format says nothing of metadata
    has_tag = tag is None or (isinstance(tags, list) and tag in tags)
    return has_tag and category in (None, metadata.get("category"))


def _shown(document: Mapping[str, Any]) -> dict[str, Any]:
    usual = {
        "name": document["id"],
        "description": None,
        "version": "1.0.0",
        "connections": [],
        "inputs": {},
        "outputs": {},
        "metadata": None,
    }
    given = {name: value for name, value in document.items() if value is not None}
    return usual | given


def _issue(problem: Problem) -> dict[str, Any]:
    values = {"found": problem.found, "expected": problem.expected}
    details = {name: value for name, value in values.items() if value is not None}
    return {
        "code": problem.code,
        "message": problem.message,
        "severity": problem.severity,
        "location": _location(problem),
        "suggestion": problem.suggestion or None,
        "details": details or None,
    }


def _location(problem: Problem) -> dict[str, Any]:
    path = problem.pointer.removeprefix("/")
    names = ["", *(part for part in path.split("/") if not part.isdecimal())]
    return {
        "path": path or "/",
        "step_id": problem.step_id,
        "connection_index": next(map(int, _CONNECTION.findall(path)), None),
        "field": names[-1] or None,
    }
