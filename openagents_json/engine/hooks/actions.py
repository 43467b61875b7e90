"""What comes of deliveries: a run begins, at once or when no other has come for a while, or one gets a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from openagents_json.engine.documents import WorkflowReference
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.types import Json

STARTED: Final = "started"
SIGNALLED: Final = "signalled"


class StartsAndSignals(Protocol):
    """What an engine does for deliveries."""

    actor: str

    @property
    def core(self) -> Core:
        """Return the parts of the engine."""

    def acting_as(self, actor: str) -> StartsAndSignals:
        """Return the engine in the name of somebody."""

    def start(
        self,
        workflow: Any,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Start a run."""

    def start_debounced(
        self,
        workflow: Any,
        inputs: Mapping[str, Json] | None = None,
        *,
        debounced: tuple[str, int],
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Start a run that begins when no other of its key was started for so many ms."""

    def signal(
        self,
        run: str,
        name: str,
        payload: Json = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        """Send a signal."""


def carry_out(
    engine: StartsAndSignals, hook: str, decision: Mapping[str, Any], key: str
) -> tuple[str, str]:
    """Start a run, or send a signal, once for a key; gives what came of it, and the run.

    Raises as `start` and `signal` do.
    """
    if "start" in decision:
        return STARTED, _start(engine, hook, decision["start"], key)
    signal = decision["signal"]
    engine.signal(
        signal["run"],
        signal["name"],
        signal["payload"],
        key=signal["key"],
        idempotency_key=key,
    )
    return SIGNALLED, signal["run"]


def _start(
    engine: StartsAndSignals, hook: str, start: Mapping[str, Any], key: str
) -> str:
    # A text in the place of a workflow names a published one, and never a file of this machine.
    workflow, inputs = WorkflowReference(start["workflow"]), start["inputs"]
    labels = start["labels"]
    # A delivery that an earlier version has kept says nothing of it.
    debounce = start.get("debounce")
    if debounce is None:
        return str(engine.start(workflow, inputs, labels=labels, idempotency_key=key))
    return engine.start_debounced(
        workflow,
        inputs,
        # The hook is named, so that no other debounces it.
        debounced=(_key(hook, debounce), round(debounce["seconds"] * 1000) or 1),
        labels=labels,
        idempotency_key=key,
    )


def _key(hook: str, debounce: Mapping[str, Any]) -> str:
    return f"hook {hook} {debounce['key']}" if "key" in debounce else f"hook {hook}"
