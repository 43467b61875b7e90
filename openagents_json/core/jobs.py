"""Jobs: runs of the engine by the words that 0.1.4 had for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from executor.errors import RunNotFound
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.core.errors import (
    JobNotCompleted,
    JobNotFound,
    WorkflowNotRegistered,
)
from openagents_json.core.program import WorkflowRegistry

if TYPE_CHECKING:
    from openagents_json.engine.answers.runs import RunInfo
    from openagents_json.engine.facade import Engine


class JobStatus(str):
    """The status of a job, in capitals; it equals the same word in any letters."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self.casefold() == other.casefold()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.casefold())


class Job(dict[str, Any]):
    """What is known of a job: a dictionary whose members are attributes too; `state` is another word for `status`."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self["status" if name == "state" else name]
        except KeyError:
            raise AttributeError(f"a job has no {name!r} here") from None


class JobManager:
    """Starts and looks at jobs; `opened` gives the engine, which gets to know a workflow first."""

    def __init__(
        self,
        opened: Callable[[Mapping[str, Any] | None], Engine],
        workflows: WorkflowRegistry,
    ) -> None:
        self._opened = opened
        self._workflows = workflows

    async def create_job(
        self, workflow_id: str, inputs: Mapping[str, Any] | None = None
    ) -> Job:
        """Start a run of a workflow that is registered here, or published in the store."""
        return await asyncio.to_thread(self._create, workflow_id, inputs or {})

    async def get_job_status(self, job_id: str) -> Job:
        """Return how a job stands."""
        return await asyncio.to_thread(self._status, job_id)

    async def get_job_results(self, job_id: str) -> Job:
        """Return the outputs of a completed job."""
        return await asyncio.to_thread(self._results, job_id)

    def _create(self, workflow_id: str, inputs: Mapping[str, Any]) -> Job:
        document = self._workflows.workflows.get(workflow_id)
        engine = self._opened(document)
        try:
            run = engine.start(document or workflow_id, dict(inputs))
        except UnknownWorkflow as error:
            what = f"no workflow {workflow_id!r} is registered"
            raise WorkflowNotRegistered(what, remedy="register it first") from error
        return _job(self._info(engine, run.id))

    def _status(self, job_id: str) -> Job:
        return _job(self._info(self._opened(None), job_id))

    def _results(self, job_id: str) -> Job:
        info = self._info(self._opened(None), job_id)
        if info.status != "completed":
            raise JobNotCompleted(f"job {job_id} has no results: it is {info.status}")
        return Job(id=info.id, outputs=info.output)

    def _info(self, engine: Engine, job_id: str) -> RunInfo:
        try:
            return engine.state(job_id)
        except RunNotFound as error:
            raise JobNotFound(f"there is no job {job_id!r}") from error


def _job(info: RunInfo) -> Job:
    began = datetime.fromtimestamp(info.started_ms / 1000, UTC)
    return Job(
        id=info.id,
        workflow_id=info.workflow,
        inputs=info.inputs,
        status=JobStatus(info.status.upper()),
        created_at=began.isoformat(),
        steps={step.id: step.status for step in info.steps},
        outputs=info.output if info.status == "completed" else {},
        error=info.error,
    )
