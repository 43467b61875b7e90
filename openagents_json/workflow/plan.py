"""A compiled definition: steps, edges and templates, made once per content hash and shared by all its runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from openagents_json.workflow.retry import RetryPolicy
from openagents_json.workflow.templates import Template
from openagents_json.workflow.types import Json


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
class StepPlan:
    """One step, compiled; `join` is "all" or the number of alive edges that it waits for.

    `secrets` names the secrets that an input refers to; the worker puts them in.
    """

    id: str
    kind: str
    component: str | None
    queue: str
    priority: int
    incoming: tuple[Edge, ...]
    targets: tuple[str, ...]
    join: str | int
    cancel_rest: bool
    retry: RetryPolicy
    timeouts: Timeouts
    on_error: tuple[ErrorHandler, ...]
    effect: str
    lost_limit: int
    inputs: Mapping[str, Template] = field(default_factory=dict)
    outputs: Mapping[str, Template | str] = field(default_factory=dict)
    condition: Template | None = None
    terminate: tuple[str, Template | None] | None = None
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A definition, compiled; `definition` is the JSON that it came from."""

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


def canonical(value: Json) -> bytes:
    """Give a value as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogatepass")


def definition_hash(definition: Json) -> str:
    """Give the hash that names a definition."""
    return hashlib.sha256(canonical(definition)).hexdigest()
