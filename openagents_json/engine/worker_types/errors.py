"""Errors of who looks after workers.

NotFound
+-- WorkerNotFound  no worker of an id is alive
"""

from __future__ import annotations

from openagents_json.errors import NotFound


class WorkerNotFound(NotFound, LookupError):
    """No worker process of this id is alive; carries `worker`."""

    code = "worker_not_found"

    def __init__(self, worker: str) -> None:
        self.worker = worker
        super().__init__(f"no worker {worker!r} is alive")
