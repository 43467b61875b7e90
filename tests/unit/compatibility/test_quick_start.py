"""The quick start of 0.1.4, as its README has it: it runs, and what it registers is executed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from openagents_json import OpenAgentsApp
from openagents_json.core.errors import JobNotFound, WorkflowNotRegistered
from openagents_json.engine import Engine
from openagents_json.settings import Settings

AGENT = '''
from openagents_json import OpenAgentsApp

agents_app = OpenAgentsApp()

@agents_app.agent("text_processor")
class TextProcessor:
    def __init__(self, config):
        self.model = config.get("model", "gpt-3.5-turbo")

    @agents_app.capability("summarize")
    async def summarize(self, text: str, max_length: int = 100) -> str:
        """Summarize text to the specified length."""
        # Implementation
        return summarized_text
'''

WORKFLOW = """
agents_app.register_workflow({
    "id": "document-processing",
    "description": "Process documents with branching logic",
    "steps": [
        {
            "id": "extract-text",
            "component": "document_processor.extract_text",
            "inputs": {"document": "{{input.document}}"}
        },
        {
            "id": "analyze-sentiment",
            "component": "text_analyzer.sentiment",
            "inputs": {"text": "{{extract-text.output}}"},
            "condition": "{{extract-text.success}}"
        }
    ],
    "output": {
        "sentiment": "{{analyze-sentiment.output}}",
        "status": "{{workflow.status}}"
    }
})
"""

JOB = """
async def main():
    # Create and run a job
    job = await agents_app.create_job(
        workflow_id="document-processing",
        inputs={"document": "https://example.com/doc.pdf"}
    )

    # Monitor job status
    status = await agents_app.get_job_status(job.id)

    # Get job results when complete
    if status.state == "COMPLETED":
        results = await agents_app.get_job_results(job.id)
    return job
"""

FASTAPI = """
from fastapi import FastAPI
from openagents_json import OpenAgentsApp

app = FastAPI()
agents_app = OpenAgentsApp()

# Register the OpenAgents router
app.include_router(agents_app.router, prefix="/agents", tags=["agents"])

if __name__ == "__main__":
    import uvicorn
    uvicorn.run(app, host="0.0.0.0", port=8000)
"""


@pytest.fixture
def engine(tmp_path: Any) -> Iterator[Engine]:
    with Engine.embedded(tmp_path, components=[], durability="memory") as engine:
        yield engine


async def ended(app: OpenAgentsApp, job: Any) -> Any:
    """Wait until a job has ended: on its events, not by the clock."""
    await asyncio.to_thread(app.engine.wait, job.id, timeout=60)
    return await app.get_job_status(job.id)


COMPONENTS = """
@agents_app.agent("document_processor")
class DocumentProcessor:
    @agents_app.capability("extract_text")
    def extract_text(self, document: str) -> str:
        return f"text of {document}"

@agents_app.agent("text_analyzer")
class TextAnalyzer:
    pass

@agents_app.capability(agent_name="text_analyzer", name="sentiment")
async def sentiment(text: str) -> str:
    return f"good: {text}"
"""


def test_the_quick_start_runs_as_it_is_written() -> None:
    """Nobody has the components of its workflow: its steps wait for somebody who has."""
    program: dict[str, Any] = {"__name__": "quick_start"}
    exec(AGENT + WORKFLOW + JOB, program)
    with program["agents_app"] as app:
        job = asyncio.run(program["main"]())
        assert (job.workflow_id, job.inputs, job.status) == (
            "document-processing",
            {"document": "https://example.com/doc.pdf"},
            "RUNNING",
        )
        assert job.steps == {"extract-text": "scheduled"}
        assert app.agent_registry.agents["text_processor"]["capabilities"].keys() == {
            "summarize"
        }


def test_the_quick_start_is_executed_by_those_who_have_its_components() -> None:
    program: dict[str, Any] = {"__name__": "quick_start"}
    exec(AGENT + COMPONENTS + WORKFLOW + JOB, program)
    with program["agents_app"] as app:

        async def results() -> Any:
            job = await program["main"]()
            status = await ended(app, job)
            assert (status.state, status.status) == ("COMPLETED", "completed")
            return await app.get_job_results(job.id)

        assert asyncio.run(results()).outputs == {
            "sentiment": "good: text of https://example.com/doc.pdf",
            "status": "completed",
        }


def test_the_routes_answer_in_an_application_of_fastapi(engine: Engine) -> None:
    program: dict[str, Any] = {"__name__": "quick_start", "engine": engine}
    exec(FASTAPI.replace("OpenAgentsApp()", "OpenAgentsApp(engine=engine)"), program)
    app, agents_app = program["app"], program["agents_app"]

    @agents_app.agent("greeter", tags={"b", "a"})
    class Greeter:
        @agents_app.capability("greet")
        def greet(self, name: str) -> str:
            return f"hello {name}"

    agents_app.register_workflow(
        {
            "id": "greeting",
            "inputs": {"name": {"type": "string", "required": True}},
            "steps": [
                {
                    "id": "say",
                    "component": "greeter.greet",
                    "inputs": {"name": "{{input.name}}"},
                }
            ],
            "output": "{{say.output}}",
        }
    )
    engine.work_here(1)

    async def visit() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://a") as web:
            [agent] = (await web.get("/agents/agents")).json()
            assert (agent["name"], agent["capabilities"]) == ("greeter", ["greet"])
            assert agent["metadata"]["tags"] == ["a", "b"]
            [workflow] = (await web.get("/agents/workflows")).json()
            assert workflow["id"] == "greeting"
            request = {"workflow_id": "greeting", "inputs": {"name": "Ada"}}
            created = await web.post("/agents/jobs", json=request)
            job = created.json()
            assert (created.status_code, job["workflow_id"]) == (201, "greeting")
            await asyncio.to_thread(engine.wait, job["id"], timeout=60)
            status = await web.get(f"/agents/jobs/{job['id']}/status")
            assert status.json()["status"] == "COMPLETED"
            results = await web.get(f"/agents/jobs/{job['id']}/results")
            assert results.json() == {"id": job["id"], "outputs": "hello Ada"}
            for path in ("status", "results"):
                missing = await web.get(f"/agents/jobs/0-none/{path}")
                assert missing.status_code == 404
                assert missing.json()["detail"]["code"] == "job_not_found"
            wrong = await web.post("/agents/jobs", json={"workflow_id": "none"})
            assert wrong.status_code == 404
            empty = await web.post("/agents/jobs", json={"workflow_id": "greeting"})
            assert empty.status_code == 400
            nameless = await web.post("/agents/jobs", json={})
            assert nameless.status_code == 400

    asyncio.run(visit())


def test_jobs_that_there_are_not_and_jobs_that_fail(engine: Engine) -> None:
    app = OpenAgentsApp(Settings(), engine=engine)

    @app.tool("fails")
    def fails() -> None:
        raise ZeroDivisionError("no")

    app.register_workflow({"id": "w", "steps": [{"id": "s", "component": "fails"}]})
    engine.work_here(1)

    async def jobs() -> None:
        with pytest.raises(WorkflowNotRegistered, match="no workflow 'x'"):
            await app.create_job("x", {})
        for ask in (app.get_job_status, app.get_job_results):
            with pytest.raises(JobNotFound):
                await ask("0-none")
        job = await app.create_job("w")
        status = await ended(app, job)
        assert (status.state, status.steps) == ("failed", {"s": "failed"})
        assert "ZeroDivisionError" in str(status["error"])
        with pytest.raises(ValueError, match="it is failed"):
            await app.get_job_results(job.id)
        with pytest.raises(AttributeError, match="no 'colour'"):
            _ = status.colour

    asyncio.run(jobs())
