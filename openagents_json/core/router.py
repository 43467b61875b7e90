"""The routes of 0.1.4 for a FastAPI application: a request is a call of the app and its answer as JSON."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from openagents_json.core.errors import InvalidRegistration, NotOffered
from openagents_json.errors import OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.core.jobs import Job, JobManager
    from openagents_json.core.program import AgentRegistry, WorkflowRegistry


def router_of(
    agents: AgentRegistry, workflows: WorkflowRegistry, jobs: JobManager
) -> Any:
    """Return a router for the agents, workflows and jobs of an app.

    Raises NotOffered when FastAPI is not installed.
    """
    try:
        fastapi = import_module("fastapi")
    except ImportError as error:
        what = "FastAPI is not installed"
        remedy = "pip install 'openagents-json[fastapi]'"
        raise NotOffered(what, remedy=remedy) from error
    routes = _Routes(agents, workflows, jobs, fastapi.HTTPException)
    router = fastapi.APIRouter()
    router.add_api_route("/agents", routes.agents, methods=["GET"])
    router.add_api_route("/workflows", routes.workflows, methods=["GET"])
    router.add_api_route("/jobs", routes.create, methods=["POST"], status_code=201)
    router.add_api_route("/jobs/{job_id}/status", routes.status, methods=["GET"])
    router.add_api_route("/jobs/{job_id}/results", routes.results, methods=["GET"])
    return router


class _Routes:
    """What requests are answered with; errors have the HTTP status of their kind."""

    def __init__(
        self,
        agents: AgentRegistry,
        workflows: WorkflowRegistry,
        jobs: JobManager,
        refusal: type[Exception],
    ) -> None:
        self._agents = agents
        self._workflows = workflows
        self._jobs = jobs
        self._refusal: Any = refusal

    async def agents(self) -> list[dict[str, Any]]:
        """List the agents."""
        return [
            {"name": name, "capabilities": [*agent["capabilities"]]}
            | {"metadata": _shown(agent["metadata"])}
            for name, agent in self._agents.agents.items()
        ]

    async def workflows(self) -> list[dict[str, Any]]:
        """List the workflows that are registered here."""
        return [*self._workflows.workflows.values()]

    async def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start a job."""
        try:
            if not isinstance(request.get("workflow_id"), str):
                raise InvalidRegistration("the request names no workflow_id")
            job = await self._jobs.create_job(
                request["workflow_id"], request.get("inputs") or {}
            )
        except OpenAgentsError as error:
            raise self._refused(error) from error
        return _answer(job)

    async def status(self, job_id: str) -> dict[str, Any]:
        """Say how a job stands."""
        try:
            return _answer(await self._jobs.get_job_status(job_id))
        except OpenAgentsError as error:
            raise self._refused(error) from error

    async def results(self, job_id: str) -> dict[str, Any]:
        """Return the outputs of a job."""
        try:
            return dict(await self._jobs.get_job_results(job_id))
        except OpenAgentsError as error:
            raise self._refused(error) from error

    def _refused(self, error: OpenAgentsError) -> Exception:
        detail = {"code": error.code, "message": str(error)}
        refusal: Exception = self._refusal(error.http_status, detail)
        return refusal


def _answer(job: Job) -> dict[str, Any]:
    return {**job, "status": str(job.status)}


def _shown(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata as JSON has it: tags as a list, times as text."""
    shown = {key: metadata.get(key) for key in ("version", "description", "author")}
    return {**shown, "tags": sorted(metadata.get("tags", ()))}
