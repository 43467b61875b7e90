"""Rows of lists, from the views of a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from openagents_json.workflow.types import Json

if TYPE_CHECKING:
    from openagents_json.engine.answers.runs import RunInfo


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as lists show it; times in ms since 1970, None where there is none yet.

    Of one that was `imported`, this is from where, by whom, when, and the hash of the file.
    """

    id: str
    workflow: str
    version: str
    status: str
    started_ms: int
    ended_ms: int | None
    events: int
    labels: Mapping[str, str]
    parent: Mapping[str, Json] | None
    error: Mapping[str, Json] | None
    step: str | None
    fingerprint: str | None
    reopened: int
    source: Mapping[str, Json] | None = None
    held: bool = False
    redacted: bool = False
    imported: Mapping[str, Json] | None = None

    @property
    def took_ms(self) -> int | None:
        """Return how long the run took."""
        if self.ended_ms is None:
            return None
        return self.ended_ms - self.started_ms


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs, newest first; `next` continues behind them, empty when these are the last."""

    items: tuple[RunRow, ...]
    next: str


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """An archived run: its row as it was, and where it is; `bytes` is the size of its file."""

    run: RunRow
    url: str
    sha256: str
    bytes: int
    archived_ms: int
    archived_by: str


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """Some archived runs; `next` continues behind them, empty when these are the last."""

    items: tuple[ArchivedRun, ...]
    next: str


@dataclass(frozen=True, slots=True)
class OpenStep:
    """A step under way: what it waits for since when."""

    run: str
    workflow: str
    step: str
    status: str
    since_ms: int
    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class FailureClass:
    """Failures with the same fingerprint: how often ever, how many runs are failed so now, the first and the last."""

    fingerprint: str
    workflow: str
    step: str | None
    type: str
    message: str
    count: int
    now: int
    first_run: str
    first_ms: int
    last_run: str
    last_ms: int


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker process: what it has done with attempts, and whether it is alive.

    `instances` has the pools of the agents that it runs, each by the name of the agent: how many instances are `alive`
    and `idle`, how old the oldest is, and how often a call had one at once, waited, or gave up.
    `told` is what it heeds of what it was told: worker types that are `paused`, how many steps `at_most`, and whether
    it is `draining`.
    """

    worker: str
    alive: bool
    counts: Mapping[str, int] = field(default_factory=dict)
    first_ms: int = 0
    last_ms: int = 0
    instances: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What the attempts of a group have used; `cost` is money as text, with up to nine places behind the point."""

    name: str
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: str


def listed(row: RunRow) -> RunInfo:
    """Return a run as a list shows it: without its steps, and without what it works with."""
    from openagents_json.engine.answers.runs import RunInfo

    return RunInfo(
        row.id,
        row.workflow,
        row.status,
        row.events,
        row.started_ms,
        parent=row.parent,
        labels=row.labels,
    )
