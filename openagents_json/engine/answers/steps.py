"""A run as people look at it: its head, its steps, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from openagents_json.engine.answers.runs import RunInfo
from openagents_json.engine.answers.waits import StepWait
from openagents_json.workflow.history.builds import BuildChange

NOT_BEGUN: Final = "not begun"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step: when it began and ended (None where it did not), and how many attempts it has had.

    `total` and `counts` are those of the items or iterations that it holds; a `total` of -1 is unknown.
    """

    path: str
    kind: str
    status: str
    attempts: int = 0
    began_ms: int | None = None
    ended_ms: int | None = None
    error: Mapping[str, Any] | None = None
    reason: str = ""
    total: int = 0
    counts: Mapping[str, int] | None = None
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Overview:
    """A run, its steps in document order, those that have not begun too, and what it waits for."""

    info: RunInfo
    workflow_version: str
    failed_step: str
    ended_ms: int | None
    now_ms: int
    steps: tuple[StepRow, ...]
    waits: tuple[StepWait, ...]
    has_worker: bool
    builds: tuple[BuildChange, ...] = ()
