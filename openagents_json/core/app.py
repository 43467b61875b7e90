"""`OpenAgentsApp` of 0.1.4: components, workflows and jobs by the names they had; jobs are runs of the engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from openagents_json.core.decorators import (
    create_agent_decorator,
    create_capability_decorator,
    create_tool_decorator,
)
from openagents_json.core.jobs import JobManager
from openagents_json.core.program import AgentRegistry, WorkflowRegistry
from openagents_json.settings import Settings, get_settings

if TYPE_CHECKING:
    from openagents_json.core.jobs import Job
    from openagents_json.engine.facade import Engine


class OpenAgentsApp:
    """A program's agents, workflows and jobs.

    The engine is opened with the first job, where the settings say: see `openagents_json.settings.engine_settings`.
    Close the app, or use it as a context manager; an `engine` that is given stays the caller's.
    """

    def __init__(
        self, settings: Settings | None = None, *, engine: Engine | None = None
    ) -> None:
        self.settings = settings or get_settings()
        self.agent_registry = AgentRegistry(engine.registry if engine else None)
        self.workflow_registry = WorkflowRegistry()
        self.job_manager = JobManager(self._opened, self.workflow_registry)
        self.agent = create_agent_decorator(self.agent_registry)
        self.capability = create_capability_decorator(self.agent_registry)
        self.tool = create_tool_decorator(self.agent_registry)
        self._given = engine
        self._own: Engine | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """Return the engine that runs the jobs; it is opened when it is asked for first."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                from openagents_json.core.program import open_engine

                self._own = open_engine(self.settings, self.agent_registry)
            return self._own

    def _opened(self, workflow: Mapping[str, Any] | None) -> Engine:
        """Return the engine, with what a workflow names and nobody has registered known to it."""
        engine = self.engine
        if workflow is not None:
            self.agent_registry.await_components_of(workflow)
        return engine

    def register_workflow(self, workflow_def: dict[str, Any]) -> None:
        """Register a workflow under its id; the last one of an id counts.

        Raises InvalidRegistration, which is a ValueError.
        """
        self.workflow_registry.register_workflow(workflow_def)

    async def create_job(
        self, workflow_id: str, inputs: Mapping[str, Any] | None = None
    ) -> Job:
        """Start a run of a workflow.

        Raises WorkflowNotRegistered, which is a ValueError, and as `Engine.start` does.
        """
        return await self.job_manager.create_job(workflow_id, inputs)

    async def get_job_status(self, job_id: str) -> Job:
        """Return how a job stands.

        Raises JobNotFound, which is a ValueError.
        """
        return await self.job_manager.get_job_status(job_id)

    async def get_job_results(self, job_id: str) -> Job:
        """Return the outputs of a completed job.

        Raises JobNotFound and JobNotCompleted, which are ValueErrors.
        """
        return await self.job_manager.get_job_results(job_id)

    @property
    def router(self) -> Any:
        """Return a FastAPI router with `/agents`, `/workflows` and `/jobs`; FastAPI has to be installed."""
        from openagents_json.core.router import router_of

        return router_of(self.agent_registry, self.workflow_registry, self.job_manager)

    def mount(self, app: Any, prefix: str | None = None) -> None:
        """Put the router into a FastAPI application."""
        path = prefix or self.settings.app.api_prefix
        app.include_router(self.router, prefix=path, tags=["openagents"])

    def close(self) -> None:
        """Close the engine, if this app has opened one."""
        with self._lock:
            engine = self._own
            self._own = None
        if engine is not None:
            engine.close()

    async def aclose(self) -> None:
        """Close the app from an event loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
