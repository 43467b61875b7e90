"""What steps wait for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class AwaitedSignal:
    """A signal that a step waits for; without a key, one with any key fits. `schema` is what its payload must fit."""

    name: str
    key: str | None = None
    schema: Json = None


@dataclass(frozen=True, slots=True)
class StepWait:
    """What one step waits for; `until_ms` is when its timer ends, and `fails_then` whether the step fails by that."""

    step: str
    reason: str
    signals: tuple[AwaitedSignal, ...] = ()
    until_ms: int | None = None
    fails_then: bool = False

    def sentence(self) -> str:
        """Say it for people, without the name of the step."""
        if self.until_ms is None:
            return self.reason
        moment = datetime.fromtimestamp(self.until_ms / 1000, UTC)
        return f"{self.reason} until {moment:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class WaitingStep:
    """A step of a run that waits for signals, and since when."""

    run: str
    workflow: str
    since_ms: int
    wait: StepWait
