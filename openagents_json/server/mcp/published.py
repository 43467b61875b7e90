"""Published workflows as tools of their own: what one takes are the workflow's inputs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from openagents_json.engine import Engine, OpenAgentsError
from openagents_json.server.mcp.schemas import schema_of_inputs
from openagents_json.server.mcp.tools import (
    WAIT_SECONDS,
    Arguments,
    EngineTool,
    start_and_wait,
)

PREFIX: Final = "run_"


def tools_of(engine: Engine) -> Iterator[EngineTool]:
    """Return a tool for the newest version of each published workflow."""
    names = {name.partition("@")[0] for name in engine.workflows.published()}
    for workflow in sorted(names):
        try:
            plan = engine.workflows.resolve(workflow)
        except (
            OpenAgentsError
        ):  # only versions before the first are there, or it has gone meanwhile
            continue
        yield EngineTool(
            f"{PREFIX}{workflow}",  # ids of workflows have no characters that names of tools have not
            f"Run the workflow {workflow} (version {plan.version}) and wait a while for its end.",
            schema_of_inputs(plan.parameters),
            partial(_run, workflow),
            only_reads=False,
            checks_itself=True,
        )


def _run(workflow: str, engine: Engine, given: Arguments) -> object:
    return start_and_wait(engine, workflow, dict(given), WAIT_SECONDS)
