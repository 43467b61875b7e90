"""A run that was started among others: its handle, and why it has not begun where it has not."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from executor.coordination.starts import Started
from openagents_json.engine.handles.handle import RunHandle, Runs
from openagents_json.workflow.types import Json


class StartedRun(RunHandle[Json], Started):
    """The id and the handle of a run that was started among others, with `error` when it has not begun.

    Whoever wants its result is told that error.
    """

    def __new__(
        cls, run: str, engine: Runs, error: Exception | None = None
    ) -> StartedRun:
        """Hold a run of an engine, and what became of its start."""
        started = super().__new__(cls, run, engine)
        started.error = error
        return started

    def result(self, timeout: float | None = None) -> Json:
        """Wait for the end of the run, `timeout` in seconds, and return its output.

        Raises the error of a run that has not begun, and otherwise as the handle of any run does.
        """
        if self.error is not None:
            raise self.error
        return super().result(timeout)

    def __await__(self) -> Generator[Any, None, Json]:
        if self.error is not None:
            raise self.error
        return super().__await__()
