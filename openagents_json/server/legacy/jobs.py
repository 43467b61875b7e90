"""The jobs and agents of 0.1.4: a job is a run, and agents are components of the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from openagents_json.engine import Engine, RunInfo, WorkflowReference
from openagents_json.engine.cataloging.catalog import CatalogFilter, CatalogRow
from openagents_json.server.http.access import AsOperator, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.idempotency import (
    IdempotencyKey,
    answers_repeats_itself,
)
from openagents_json.server.http.replies import Reply
from openagents_json.server.http.values import Body
from openagents_json.server.legacy.errors import AgentNotFound, JobWithoutResults

router = APIRouter(route_class=StrictRoute, tags=["0.1.4"])

PAGE: Final = 500
CREATED: Final = "CREATED"

_AS_CREATED: Final[Mapping[str, Any]] = {
    "status": CREATED,
    "state": CREATED,
    "outputs": {},
    "error": None,
}


class JobRequest(Body):
    """A job to be created: a published workflow, and its inputs."""

    workflow_id: str = Field(min_length=1, max_length=300)
    inputs: dict[str, Any] = Field(default={})


class LegacyJob(BaseModel):
    """A job; `status`, which is `state` too, is in capitals, and `outputs` are there when it is COMPLETED."""

    id: str
    workflow_id: str
    status: str
    state: str
    created_at: str
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    error: dict[str, Any] | None


class LegacyAgent(BaseModel):
    """An agent with the names of its capabilities."""

    name: str
    metadata: dict[str, Any]
    capabilities: list[str]


@router.post(
    "/jobs", status_code=201, operation_id="createJob", response_model=LegacyJob
)
@answers_repeats_itself
def create_job(
    request: JobRequest, engine: AsOperator, idempotency_key: IdempotencyKey = None
) -> Response:
    """Start a run of a published workflow; the answer, also to a repetition, is the job as it was created."""
    workflow = WorkflowReference(request.workflow_id)
    run = engine.start(workflow, request.inputs, idempotency_key=idempotency_key)
    is_repeated = idempotency_key is not None and not run.is_new
    replayed = {"Idempotency-Replayed": "true"} if is_repeated else {}
    return Reply({**_job(engine.state(run)), **_AS_CREATED}, 201, replayed)


@router.get("/jobs/{run}/status", operation_id="getJobStatus", response_model=LegacyJob)
def get_status(run: str, engine: AsViewer) -> Response:
    """Return how a job stands."""
    return Reply(_job(engine.state(run)))


@router.get(
    "/jobs/{run}/results", operation_id="getJobResults", response_model=LegacyJob
)
def get_results(run: str, engine: AsViewer) -> Response:
    """Return a completed job with its outputs; of one that is not completed, there are none (400)."""
    info = engine.state(run)
    if info.status != "completed":
        raise JobWithoutResults(run, info.status)
    return Reply(_job(info))


@router.get("/agents", operation_id="listAgents", response_model=list[LegacyAgent])
def list_agents(engine: AsViewer) -> Response:
    """List the agents of the catalog."""
    return Reply(_agents(_rows(engine, CatalogFilter(type="agent"))))


@router.get("/agents/{name}", operation_id="getAgent", response_model=LegacyAgent)
def get_agent(name: str, engine: AsViewer) -> Response:
    """Return an agent."""
    for agent in _agents(_rows(engine, CatalogFilter(type="agent", agent=name))):
        return Reply(agent)
    raise AgentNotFound(name)


def _job(info: RunInfo) -> dict[str, Any]:
    status = info.status.upper()
    began = datetime.fromtimestamp(info.started_ms / 1000, UTC)
    return {
        "id": info.id,
        "workflow_id": info.workflow,
        "status": status,
        "state": status,
        "created_at": began.isoformat(),
        "inputs": info.inputs,
        "outputs": _outputs(info),
        "error": info.error,
    }


def _outputs(info: RunInfo) -> Any:
    """Return the output by names; one that is no object has the name `output`."""
    if info.status != "completed":
        return {}
    return info.output if isinstance(info.output, dict) else {"output": info.output}


def _rows(engine: Engine, criteria: CatalogFilter) -> Iterator[CatalogRow]:
    page = engine.catalog.search(criteria, limit=PAGE)
    yield from page.items
    while page.next:
        page = engine.catalog.search(criteria, limit=PAGE, after=page.next)
        yield from page.items


def _agents(rows: Iterator[CatalogRow]) -> list[dict[str, Any]]:
    """Return agents by name, with what is said of the first of their capabilities."""
    agents: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row.name):
        name, _, capability = row.name.partition(".")
        metadata = {
            "version": row.version,
            "description": row.description,
            "author": row.author,
            "tags": row.tags,
        }
        agent = {"name": name, "metadata": metadata, "capabilities": []}
        agents.setdefault(name, agent)["capabilities"].append(capability)
    return [*agents.values()]
