"""Errors of the paths of 0.1.4.

InvalidArgument
+-- JobWithoutResults   the results of a job were asked for that has none
NotFound
+-- AgentNotFound       there is no agent of a name
"""

from __future__ import annotations

from openagents_json.errors import InvalidArgument, NotFound


class JobWithoutResults(InvalidArgument):
    """The results of a job were asked for that is not completed: a 400, as it always was."""

    code = "job_without_results"

    def __init__(self, job: str, status: str) -> None:
        super().__init__(
            f"job {job} is not completed: it is {status}",
            remedy="ask for its status until it is COMPLETED",
        )


class AgentNotFound(NotFound):
    """There is no agent of a name in the catalog."""

    code = "agent_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no agent {name!r}")
