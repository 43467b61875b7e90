"""A compiled definition: steps, edges and templates, made once per content hash and shared by all its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from openagents_json.workflow.core.paths import static
from openagents_json.workflow.core.retry import RetryPolicy
from openagents_json.workflow.core.usage import Budget
from openagents_json.workflow.expressions.secret_places import SecretText
from openagents_json.workflow.expressions.templates import Template
from openagents_json.workflow.types import Json

ENGINE_QUEUE: Final = "engine"
"""The queue of steps that no worker is needed for."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in ms; 0 is none."""

    schedule_to_start_ms: int = 0
    start_to_close_ms: int = 0
    heartbeat_ms: int = 0
    total_ms: int = 0


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one step to another.

    `order` is the array order of a sequential document: it stays passable when its source's condition was false.
    `goto` is taken only when the source's error handler says so. `output` and `input` name what a connection carries.
    """

    source: str
    target: str
    order: bool = False
    goto: bool = False
    condition: Template | None = None
    transform: Template | None = None
    output: str | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorHandler:
    """What a document does about a last failure; no `errors` means any."""

    errors: tuple[str, ...]
    then: str
    goto: str | None = None
    output: Template | None = None


@dataclass(frozen=True, slots=True)
class Foreach:
    """A step that runs once for each item; `item` and `index` name what templates see, `window` 0 is the default.

    It succeeds with at most `tolerated` failed items (None: as many as `min_success` leaves, else none), and as soon as
    `enough` of them have succeeded, when the rest is cancelled or goes on without anybody waiting for it.
    """

    items: Template
    item: str = "item"
    index: str = "index"
    window: int = 0
    tolerated: int | None = None
    min_success: int | None = None
    per_item_condition: bool = False
    enough: int | None = None
    cancel_rest: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Steps that run inside of another, in document order; `output` is their result, by default that of the last."""

    order: tuple[str, ...]
    output: Template | None = None


@dataclass(frozen=True, slots=True)
class Loop:
    """A block that runs again while, or until, something is so, at most `limit` times.

    `looks_inside` tells that the condition refers to steps of the block: it is not asked before the first iteration.
    """

    condition: Template | None
    until: Template | None
    limit: int
    fails_at_limit: bool = False
    looks_inside: bool = False


@dataclass(frozen=True, slots=True)
class Timer:
    """A wait for a duration (`seconds`) or for a time (`until`)."""

    seconds: Template | None = None
    until: Template | None = None


@dataclass(frozen=True, slots=True)
class SignalWait:
    """A signal that a step waits for; without a key, one with any key fits. `schema` is what its payload must fit."""

    name: Template
    key: Template | None = None
    schema: Json = None


@dataclass(frozen=True, slots=True)
class Wait:
    """A step that waits for the first of some signals or for a timer, and fails after `timeout`."""

    signals: tuple[SignalWait, ...]
    timer: Timer | None = None
    timeout: Template | None = None
    any: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """A step that runs another workflow; a detached one is started and not waited for."""

    workflow: str
    detached: bool = False


@dataclass(frozen=True, slots=True)
class Gate:
    """What a step has to be given before it may run: `limit` holders of a key at a time, or so many in a period."""

    kind: str
    key: Template
    limit: int = 1
    per_ms: int = 0
    policy: str = "queue"


@dataclass(frozen=True, slots=True)
class Fairness:
    """By which key a step gets its part of its queue, and how many steps a round of all keys brings it."""

    key: Template
    weight: int = 1


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step, compiled; `join` is "all" or the number of alive edges that it waits for.

    `path` is its place among nested steps, `incoming` and `targets` name steps of the same block.
    `sources` are those that all have to be over before anything is looked at, empty where conditions come into it.
    `secrets` are the texts of its inputs that name secrets; the worker puts them in.
    `component` is named as in the document, `bound` also with the version that it meant when the run began.
    """

    id: str
    path: str
    kind: str
    component: str | None = None
    bound: str = ""
    queue: str = ENGINE_QUEUE
    priority: int = 0
    incoming: tuple[Edge, ...] = ()
    targets: tuple[str, ...] = ()
    sources: frozenset[str] = frozenset()
    join: str | int = "all"
    cancel_rest: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    on_error: tuple[ErrorHandler, ...] = ()
    effect: str = "idempotent"
    lost_limit: int = 3
    inputs: Mapping[str, Template] = field(default_factory=dict)
    outputs: Mapping[str, Template | str] = field(default_factory=dict)
    condition: Template | None = None
    terminate: tuple[str, Template | None] | None = None
    secrets: tuple[SecretText, ...] = ()
    foreach: Foreach | None = None
    block: Block | None = None
    loop: Loop | None = None
    sleep: Timer | None = None
    wait: Wait | None = None
    child: Child | None = None
    gates: tuple[Gate, ...] = ()
    fairness: Fairness | None = None
    compensated: bool = False
    persist: bool = False

    @property
    def inner(self) -> tuple[str, ...]:
        """Return the ids of the steps that run inside of it, in document order."""
        if self.block:
            return self.block.order
        return ()


@dataclass(frozen=True, slots=True)
class Persistence:
    """When transitions go to the log: each by itself (step), in batches (checkpoint), or at the end (outcome)."""

    mode: str = "step"
    every_steps: int = 50
    every_ms: int = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition, compiled; `definition` is the JSON that it came from, `encoded` its canonical bytes.

    `steps` holds nested steps too, by static path; `order` are those of the run itself, `positions` give all of them in
    document order, `homes` the static paths of step ids.
    """

    hash: str
    id: str
    version: str
    steps: Mapping[str, StepPlan]
    order: tuple[str, ...]
    timeout_ms: int
    output: Template | None
    outputs: Mapping[str, Template | None]
    parameters: Mapping[str, Json]
    definition: Json
    encoded: bytes = b""
    positions: Mapping[str, int] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    signals: tuple[SignalWait, ...] = ()
    gates: tuple[Gate, ...] = ()
    persistence: Persistence = Persistence()
    start_delay: int = 0
    budget: Budget | None = None

    def of(self, path: str) -> StepPlan:
        """Return the plan of a step instance."""
        return self.steps.get(path) or self.steps[static(path)]


def canonical(value: Json) -> bytes:
    """Return a value as canonical JSON."""
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode("utf-8", "surrogatepass")
