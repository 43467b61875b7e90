"""Published workflows: their versions and aliases, checking and publishing documents."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from openagents_json.engine import Problem
from openagents_json.engine.answers.layouts import Layout
from openagents_json.engine.cataloging.written_plans import WorkflowDiff
from openagents_json.engine.steering.published import WorkflowUses
from openagents_json.server.http.access import AsDeveloper, AsViewer, KeptLayouts
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import only_reads
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body
from openagents_json.server.http.workflows import Workflow, document_of

router = APIRouter(route_class=StrictRoute, tags=["workflows"])


class DocumentRequest(Body):
    """A document of a workflow."""

    document: dict[str, Any]


class PublishRequest(DocumentRequest):
    """A document to be published, and an alias that means its version from then on."""

    alias: str | None = Field(default=None, min_length=1, max_length=200)


class DiffRequest(Body):
    """Two versions of a workflow, published or written."""

    one: Workflow
    other: Workflow


class PublishedWorkflow(BaseModel):
    """What a workflow is published as: `id@version`."""

    name: str


class Verdict(BaseModel):
    """Whether a document can run, and every problem of it."""

    valid: bool
    problems: list[Problem]


class PublishedWorkflows(BaseModel):
    """What is published under `id@version`, and what aliases mean."""

    versions: dict[str, Any]
    aliases: dict[str, Any]


@router.get(
    "/workflows", operation_id="listWorkflows", response_model=PublishedWorkflows
)
def list_workflows(engine: AsViewer) -> Response:
    """List what is published."""
    published = engine.workflows.published()
    return Reply({"versions": published, "aliases": engine.workflows.aliases()})


@router.post(
    "/workflows",
    status_code=201,
    operation_id="publishWorkflow",
    response_model=PublishedWorkflow,
)
def publish(request: PublishRequest, engine: AsDeveloper) -> Response:
    """Publish a document under its id and version; the same document again changes nothing."""
    name = engine.publish(request.document, alias=request.alias)
    id_, _, version = name.partition("@")
    where = f"/v1/workflows/{id_}/versions/{version}"
    return Reply({"name": name}, 201, {"Location": where})


@router.post(
    "/workflows/validate", operation_id="validateWorkflow", response_model=Verdict
)
@only_reads
def validate(request: DocumentRequest, engine: AsViewer) -> Response:
    """Find every problem of a document."""
    report = engine.validate(request.document)
    return Reply({"valid": report.valid, "problems": report.problems})


@router.post(
    "/workflows/diff", operation_id="diffWorkflows", response_model=WorkflowDiff
)
@only_reads
def diff(request: DiffRequest, engine: AsViewer) -> Response:
    """Compare two versions as a reader of documents does, and count the open runs of the first."""
    one, other = document_of(request.one), document_of(request.other)
    return Reply(engine.workflows.diff(one, other))


@router.get(
    "/workflows/{workflow}/versions/{version}", operation_id="getWorkflowVersion"
)
def get_version(workflow: str, version: str, engine: AsViewer) -> Any:
    """Return the document of a published version, or of the newest that a range or an alias means."""
    plan = engine.workflows.resolve(f"{workflow}@{version}")
    definition: Any = plan.definition
    return Reply(
        {
            "id": plan.id,
            "version": plan.version,
            "hash": plan.hash,
            "document": definition["document"],
        }
    )


@router.get(
    "/workflows/{workflow}/versions/{version}/layout",
    operation_id="getWorkflowLayout",
    response_model=Layout,
)
def get_layout(
    workflow: str, version: str, engine: AsViewer, layouts: KeptLayouts
) -> Response:
    """Return where the steps of a published version stand in its picture, which never changes."""
    return Reply(layouts.of(engine.workflows.resolve(f"{workflow}@{version}")))


@router.get(
    "/workflows/{workflow}/versions/{version}/uses",
    operation_id="getWorkflowUses",
    response_model=WorkflowUses,
)
def get_uses(workflow: str, version: str, engine: AsViewer) -> Response:
    """Return who uses a published version."""
    return Reply(engine.uses(f"{workflow}@{version}"))


@router.delete(
    "/workflows/{workflow}/versions/{version}",
    operation_id="unpublishWorkflow",
    response_model=WorkflowUses,
)
def unpublish(
    workflow: str,
    version: str,
    engine: AsDeveloper,
    force: Annotated[bool, Query()] = False,
) -> Response:
    """Publish a version no more; runs of it go on. One that is used stays, unless forced."""
    return Reply(engine.unpublish(f"{workflow}@{version}", force=force))
