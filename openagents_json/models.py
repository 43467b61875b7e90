"""The workflow document as pydantic models, for programs that write documents with types.

They say of the structure what the JSON Schema says, and nothing of the meaning: `validate` finds that.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from openagents_json.workflow.language.schema import ID, SEMVER


def _whole(value: Any) -> Any:
    """Take 3.0 for 3, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]
Number = int | float
Seconds = Annotated[Number, Field(ge=0, le=3.2e9)]
Name = Annotated[str, StringConstraints(pattern=ID, min_length=1, max_length=256)]
Text = Annotated[str, StringConstraints(min_length=1)]
Object = dict[str, Any]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class ParameterModel(_Model):
    """An input or output of a workflow."""

    type: Literal["string", "number", "integer", "boolean", "object", "array", "any"] = "any"
    description: str = ""
    default: Any = None
    required: bool = False
    enum: list[Any] = []
    pattern: str = ""
    minimum: Number = 0
    maximum: Number = 0
    format: str = ""
    source: str = ""


class RetryModel(_Model):
    """How often and when a failed step is tried again."""

    max_retries: Annotated[Whole, Field(ge=0, le=1_000_000)] = 3
    max_attempts: Annotated[Whole, Field(ge=0, le=1_000_000, deprecated="it counts retries: say max_retries")] = 3
    delay_seconds: Seconds = 5
    backoff_multiplier: Annotated[Number, Field(ge=1)] = 1
    max_delay_seconds: Seconds = 0
    max_retry_after_seconds: Seconds = 86_400
    jitter: bool | Annotated[Number, Field(ge=0, le=1)] = 0
    retry_on: list[str] = []
    no_retry_on: list[str] = []

    @model_validator(mode="after")
    def _read_the_old_word(self) -> Self:
        """Give the number under the new word, too; the document keeps the word that it was written with."""
        if "max_attempts" in self.model_fields_set and "max_retries" not in self.model_fields_set:
            self.__dict__["max_retries"] = self.__dict__["max_attempts"]
        return self


class TimeoutsModel(_Model):
    """Time limits of a step."""

    schedule_to_start: Seconds = 0
    start_to_close: Seconds = 0
    heartbeat: Seconds = 0
    total: Seconds = 0


class JoinModel(_Model):
    """How many incoming edges a step waits for."""

    n: Annotated[Whole, Field(ge=1)]
    cancel_rest: bool = False


class TerminateModel(_Model):
    """How a step ends the run."""

    status: Literal["success", "failure"] = "success"
    output: Any = None


class GotoModel(_Model):
    """Where an error handler goes."""

    goto: str


class ErrorHandlerModel(_Model):
    """What happens after a last failure."""

    then: Literal["continue", "fail", "goto"] | Annotated[str, StringConstraints(pattern="^goto[- :].+$")] | GotoModel
    errors: list[str] = []
    goto: str = ""
    step: str = ""
    output: Any = None


class ConnectionModel(_Model):
    """A way from one step to another."""

    source: str
    target: str
    condition: str | bool = True
    transform: str = ""


Identifier = Annotated[str, StringConstraints(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Count = Annotated[Whole, Field(ge=0)]
Positive = Annotated[Whole, Field(ge=1)]
Execution = Literal["sequential", "graph"]


class DurationModel(_Model):
    """A duration in units, which are added up, or a time to wait until."""

    seconds: Seconds | str = 0
    minutes: Seconds | str = 0
    hours: Seconds | str = 0
    days: Seconds | str = 0
    until: Seconds | Text = 0

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set and not self.model_extra:
            raise ValueError("a duration needs a unit, or a time until")
        return self


class SignalModel(_Model):
    """A signal that a step waits for."""

    signal: Text
    key: str | bool | Number = ""
    schema_: dict[str, Any] | bool = Field(default=True, alias="schema")
    timeout: Seconds | str = 0


class BranchModel(_Model):
    """A timer among the things that a step waits for."""

    sleep: Seconds | Text | DurationModel


class WaitAnyModel(_Model):
    """The first of several signals, or a timer."""

    any: Annotated[list[Text | SignalModel | BranchModel | DurationModel], Field(min_length=1)]
    timeout: Seconds | str = 0


class MutexModel(_Model):
    """A lock, or with a limit a semaphore."""

    key: Text
    limit: Positive = 1


class RateLimitModel(_Model):
    """A token bucket: so many starts in a period."""

    limit: Positive
    key: Text = ""
    per_seconds: Annotated[Number, Field(gt=0, le=3.2e9)] = 1


class CallModel(_Model):
    """A component and what it is given."""

    component: Text
    inputs: Object = {}
    retry: RetryModel = RetryModel()
    timeout: Seconds = 0


class LoopModel(_Model):
    """Steps that run again while, or until, something is so."""

    max_iterations: Annotated[Whole, Field(ge=1, le=1_000_000)]
    while_: str | bool = Field(default=True, alias="while")
    until: str | bool = False
    at_limit: Literal["complete", "fail"] = "complete"
    steps: Annotated[list[StepModel], Field(min_length=1)] = []
    connections: list[ConnectionModel] = []
    execution: Execution = "sequential"
    output: Any = None


class StepModel(_Model):
    """One step."""

    id: Name
    name: str = ""
    description: str = ""
    component: Text = ""
    workflow: Text = ""
    wait_for: Text | SignalModel | WaitAnyModel = ""
    sleep: Seconds | Text | DurationModel = 0
    loop: LoopModel = LoopModel.model_construct(max_iterations=1)
    steps: Annotated[list[StepModel], Field(min_length=1)] = []
    connections: list[ConnectionModel] = []
    execution: Execution = "sequential"
    output: Any = None
    detached: bool = False
    terminate: Literal["success", "failure"] | TerminateModel = "success"
    inputs: Object = {}
    outputs: Object = {}
    condition: str | bool = True
    retry: RetryModel = RetryModel()
    timeout: Seconds = 0
    timeouts: TimeoutsModel = TimeoutsModel()
    foreach: str | list[Any] | Object = ""
    item: Identifier = "item"
    index: Identifier = "index"
    max_concurrency: Annotated[Whole, Field(ge=1, le=10_000)] = 1000
    tolerated_failures: Count = 0
    min_success: Count = 0
    enough: Positive | JoinModel = 1
    compensate: Text | CallModel = ""
    mutex: Text | MutexModel = ""
    rate_limit: RateLimitModel = RateLimitModel(limit=1)
    depends_on: list[str] = []
    join: Literal["all", "any"] | JoinModel = "all"
    on_error: list[ErrorHandlerModel] = []
    effect: Literal["pure", "idempotent", "at_most_once", "compensable", "irreversible"] = "idempotent"
    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = 0
    state: Object = {}
    metadata: Object = {}


class StateModel(_Model):
    """What 0.1.4 said about state."""

    isolation: Literal["none", "step", "agent", "workflow"] = "none"
    persistence: Literal["none", "memory", "disk", "database"] = "disk"
    sharing: list[Any] = []


class PersistenceModel(_Model):
    """When transitions go to the log."""

    mode: Literal["step", "checkpoint", "outcome"]
    every_steps: Positive = 50
    every_seconds: Seconds = 1


class ConcurrencyModel(_Model):
    """How many runs of a key may be under way, and what happens to one more."""

    limit: Positive
    key: Text = ""
    on_limit: Literal["queue", "reject", "cancel_oldest"] = "queue"


class DebounceModel(_Model):
    """A run begins when no other of its key was started for some seconds."""

    seconds: Seconds
    key: Text = ""


class FailureBlockModel(_Model):
    """Steps that run when the workflow has failed."""

    steps: Annotated[list[StepModel], Field(min_length=1)]
    connections: list[ConnectionModel] = []
    execution: Execution = "sequential"
    output: Any = None


class FailureComponentModel(_Model):
    """A component that is called when the workflow has failed."""

    component: Text


class FailureWorkflowModel(_Model):
    """A workflow that runs when this one has failed."""

    workflow: Text


class WorkflowDocument(_Model):
    """A workflow document; the engine takes it as it is."""

    id: Name
    steps: Annotated[list[StepModel], Field(min_length=1)]
    version: Annotated[str, StringConstraints(pattern=SEMVER)] = "1.0.0"
    name: str = ""
    description: str = ""
    inputs: dict[str, ParameterModel] = {}
    outputs: dict[str, ParameterModel] = {}
    output: Any = None
    connections: list[ConnectionModel] = []
    state_dependencies: StateModel = StateModel()
    metadata: Object = {}
    timeout: Seconds = 0
    persistence: Literal["step", "checkpoint", "outcome"] | PersistenceModel = "step"
    concurrency: ConcurrencyModel = ConcurrencyModel(limit=1)
    debounce: DebounceModel = DebounceModel(seconds=0)
    on_failure: (
        Text
        | Annotated[list[StepModel], Field(min_length=1)]
        | FailureBlockModel
        | FailureComponentModel
        | FailureWorkflowModel
    ) = ""
    execution: Literal["sequential", "graph"] = "sequential"

    @property
    def document(self) -> dict[str, Any]:
        """Give the document as JSON, with what was set and nothing else."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)
