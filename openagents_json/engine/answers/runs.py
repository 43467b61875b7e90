"""A run as the engine shows it: how it stands, how it ended, what happened in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: `status` is completed, failed or cancelled; `error` has type, message and where it happened."""

    id: str
    status: str
    output: Json
    error: Mapping[str, Json] | None

    @property
    def ok(self) -> bool:
        """Tell whether the run completed."""
        return self.status == "completed"


@dataclass(frozen=True, slots=True)
class StepInfo:
    """A step as it is now."""

    id: str
    status: str
    attempt: int
    worker: str
    inputs: Mapping[str, Json]
    output: Json
    error: Mapping[str, Json] | None


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run as it is now; lists leave the steps out.

    `parent` is the run and the step that started it, `children` the runs that its steps started, by step. Nothing of
    one that is `held` may be erased; of one that is `erased`, payloads are null. The events up to version `imported`
    were written in another store. `usage` is what its attempts and its children have used, empty where they report
    nothing.
    """

    id: str
    workflow: str
    status: str
    version: int
    started_ms: int = 0
    inputs: Mapping[str, Json] = field(default_factory=dict)
    output: Json = None
    error: Mapping[str, Json] | None = None
    reason: str = ""
    steps: tuple[StepInfo, ...] = ()
    parent: Mapping[str, Json] | None = None
    children: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    held: bool = False
    erased: bool = False
    imported: int = 0
    usage: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One event of a run; step, attempt and worker are None where the event has none.

    One that was `imported` was written in another store, which is named: nothing here vouches for its actor and time.
    """

    version: int
    time_ms: int
    type: str
    step: str | None
    attempt: int | None
    worker: str | None
    actor: str
    cause: str
    commit: str
    data: Mapping[str, Any]
    imported: str = ""
