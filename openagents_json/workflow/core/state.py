"""A run's state: a value folded from its events by `evolve.evolve`.

A fold copies these records for each event, which is why they are structs: docs/adr has what that is worth.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

from immutables import Map
from msgspec import Struct

from openagents_json.statuses import CLOSED_RUN as CLOSED_RUN
from openagents_json.statuses import OPEN_STEP as OPEN_STEP
from openagents_json.statuses import RunStatus, StepStatus
from openagents_json.workflow.core.paths import item, static
from openagents_json.workflow.core.usage import NOTHING, Used
from openagents_json.workflow.types import Json

SCHEDULED: Final = "scheduled"
STARTED: Final = "started"
RETRYING: Final = "retrying"
WAITING: Final = "waiting"
ACTIVE: Final = "active"
GATED: Final = "gated"
COMPLETED: Final = "completed"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"
CANCELLED: Final = "cancelled"

CLAIMABLE: Final = frozenset({SCHEDULED, WAITING})

NEVER_BEGUN: Final = "its worker went silent before it began"
NOT_HELD: Final = "its worker could not say that it begins"
UNBEGUN: Final = frozenset(
    {"unknown component", "the worker is busy", "the drain ends", NEVER_BEGUN, NOT_HELD}
)
"""Why an attempt is given back that was not begun; one whose worker stops may have been."""

NEW: Final = "new"
QUEUED: Final = "queued"
RUNNING: Final = "running"
PAUSED: Final = "paused"
FAILING: Final = "failing"
CANCELLING: Final = "cancelling"

FOREACH: Final = "foreach"
LOOP: Final = "loop"
BLOCK: Final = "block"
GROUPS: Final = frozenset({FOREACH, LOOP})
"""Kinds of steps that hold numbered instances."""


class Group(Struct, frozen=True, gc=False):
    """The items or iterations of a step, counted: `opened` of them so far, `active` now; `total` -1 is unknown.

    `missing` are items before `opened` that are done again.
    """

    total: int = -1
    opened: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    first_failed: int = -1
    missing: tuple[int, ...] = ()


class StepState(Struct, frozen=True, gc=False):
    """One step: attempts are counted at the claim, `failures` and `lost` and `released` by their events.

    `kind` is empty for steps that workers run; `sequence` tells the order in which steps completed or failed for good;
    `unbegun` are those of the released attempts that nobody had begun to run; `timer` is the number of the timer that
    it waits for, and `timers` how many it has had; `child` is the run that it waits for, and `children` how many it has
    started; `waits` are the gates before it, [kind, key, limit, period in ms, policy] each, and `gates` the fences of
    its locks; `sets` are the outputs of the workflow that it has set; `secrets` say where its inputs hold secrets;
    `fairness` is its key among those that share its queue, with its weight, empty for none;
    `since_ms` is when its first attempt began and `begun_ms` when its latest did, by the store's clock, 0 if unknown.
    """

    status: StepStatus
    inputs: Mapping[str, Json]
    kind: str = ""
    attempt: int = 0
    failures: int = 0
    lost: int = 0
    released: int = 0
    unbegun: int = 0
    fence: str = ""
    worker: str = ""
    retry_ms: int | None = None
    output: Json = None
    outputs: Mapping[str, Json] | None = None
    error: Mapping[str, Json] | None = None
    then: str = "fail"
    goto: str | None = None
    reason: str = ""
    sequence: int = 0
    group: Group | None = None
    timer: int = 0
    timers: int = 0
    child: str = ""
    children: int = 0
    waits: tuple[Json, ...] = ()
    gates: Mapping[str, int] | None = None
    sets: Mapping[str, Json] | None = None
    secrets: Sequence[Json] | None = None
    fairness: Sequence[Json] = ()
    since_ms: int = 0
    begun_ms: int = 0

    @property
    def opened(self) -> int:
        """Return how many items or iterations it has had."""
        if self.group:
            return self.group.opened
        return 0

    @property
    def failed_for_good(self) -> bool:
        """Tell whether it failed, is not tried again, and nothing in the document handles that."""
        return self.status == FAILED and self.then == "fail"

    @property
    def counts_as_completed(self) -> bool:
        """Tell whether it has a result that others go on with: its own, or that of a handler of its failure."""
        if self.status == FAILED:
            return self.then != "fail"
        return self.status == COMPLETED


NO_STEP: Final = StepState(cast("StepStatus", ""), {})
"""What stands for a step that the run does not have: it has no status."""


class Signal(Struct, frozen=True, gc=False):
    """A signal that came and that no step has taken yet."""

    id: str
    name: str
    key: str | None
    payload: Json
    by: str = ""
    reason: str = ""
    at_ms: int = 0


NO_PAST: Final[tuple[int, int, tuple[Json, ...]]] = (0, 0, ())
"""Attempts, children and gates of a step that has not been forgotten."""


class RunState(Struct, frozen=True, gc=False):
    """One run; the keys of `open_steps` are the steps that are scheduled and not resolved, in no stable order.

    `signals` are those that nobody has taken yet, oldest first; `heard` the ids of all that came; `queue` are the gates
    of the run, as those of a step; `past` are attempts, children and gates of forgotten steps, `memo` those of them
    whose results stand if they are done again with the same inputs, `lives` how often those that had completed were
    begun anew, from 2; `unsettled` are steps to be tried again and
    failures that nobody has decided on, `pending` the latest outcomes behind which no decision shows, each with its
    sequence; `fence` is the last that a claim was given; `children` counts the runs that were started; the events up to
    version `imported` were written in another store; `used` is what its attempts and its children have used, and the
    budget counts from `granted_at`; `over_budget` says that it is paused for that: pause or ask.
    """

    status: RunStatus = NEW
    run: str = ""
    workflow: str = ""
    version: str = ""
    definition: str = ""
    inputs: Mapping[str, Json] = Map()
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    steps: Map[str, StepState] = Map()
    open_steps: Map[str, bool] = Map()
    sets: Mapping[str, Json] = Map()
    output: Json = None
    error: Mapping[str, Json] | None = None
    failed_step: str | None = None
    reason: str = ""
    compensate: bool = True
    sequence: int = 0
    signals: tuple[Signal, ...] = ()
    heard: Map[str, bool] = Map()
    queue: tuple[Json, ...] = ()
    past: Map[str, tuple[int, int, tuple[Json, ...]]] = Map()
    memo: Map[str, StepState] = Map()
    lives: Map[str, int] = Map()
    unsettled: Map[str, bool] = Map()
    pending: tuple[tuple[str, int], ...] = ()
    fence: int = 0
    erased: bool = False
    held: bool = False
    children: int = 0
    imported: int = 0
    used: Used = NOTHING
    granted_at: Used = NOTHING
    budget: Mapping[str, Json] | None = None
    over_budget: str = ""

    def idempotency_key(self, path: str) -> str:
        """Return the key that is equal for all attempts of a step, until it has completed and is done again."""
        life: int = self.lives.get(path, self.lives.get(static(path), 1))
        return f"{self.run}/{path}" + (f"#{life}" if life > 1 else "")

    def with_status(
        self, status: StepStatus, paths: Iterable[str] | None = None
    ) -> list[str]:
        """Return those of some steps, of all where none are named, that have a status."""
        steps = self.steps
        among = steps if paths is None else paths
        return [path for path in among if steps[path].status == status]

    def is_resolved(self, path: str) -> bool:
        """Tell whether a step has begun and ended."""
        return path in self.steps and path not in self.open_steps

    @property
    def closed(self) -> bool:
        """Tell whether the run has ended."""
        return self.status in CLOSED_RUN

    @property
    def depth(self) -> int:
        """Return how many runs are above this one."""
        if self.parent:
            return int(self.parent["depth"])
        return 0


def initial() -> RunState:
    """Return the state before the first event."""
    return RunState()


def begun(state: RunState, path: str) -> bool:
    """Tell whether a step has had an attempt since it was scheduled; attempts go on counting when it is done again."""
    past_attempt, _, _ = state.past.get(path, NO_PAST)
    return state.steps[path].attempt > past_attempt


def gather(state: RunState, path: str) -> Json:
    """Return the results of a step's items in the order of the input, as an object when the input is one."""
    step = state.steps[path]
    instances = [item(path, index) for index in range(step.opened)]
    results = [state.steps.get(instance, NO_STEP).output for instance in instances]
    items = step.inputs.get("items")
    if isinstance(items, Mapping):
        return dict(zip(sorted(items), results, strict=False))
    return results


def item_errors(state: RunState, path: str) -> list[Json]:
    """Return index (or key), type and message of the errors of a step's items, in the order of the input."""
    step = state.steps[path]
    items = step.inputs.get("items")
    count = step.group.opened if step.group else 0
    keys: Sequence[Json] = sorted(items) if isinstance(items, Mapping) else range(count)
    errors: list[Json] = []
    for number, key in enumerate(keys[:count]):
        instance = state.steps.get(item(path, number))
        if instance is None or instance.status != FAILED or instance.error is None:
            continue
        error = {name: instance.error.get(name) for name in ("type", "message")}
        errors.append({"index": key, **error})
    return errors


def last_result(state: RunState, path: str) -> Json:
    """Return the result of the last completed iteration of a loop, null before the first."""
    opened = state.steps.get(path, NO_STEP).opened
    for index in reversed(range(opened)):
        iteration = state.steps.get(item(path, index), NO_STEP)
        if iteration.status == COMPLETED:
            return iteration.output
    return None
