"""The workflow document as pydantic models, for programs that write documents with types.

They say of the structure what the JSON Schema says, and nothing of the meaning: `validate` finds that.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from openagents_json.workflow.schema import ID, SEMVER


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

    max_attempts: Annotated[Whole, Field(ge=0, le=1_000_000)] = 3
    delay_seconds: Seconds = 5
    backoff_multiplier: Annotated[Number, Field(ge=1)] = 1
    max_delay_seconds: Seconds = 0
    jitter: bool | Annotated[Number, Field(ge=0, le=1)] = 0
    retry_on: list[str] = []
    no_retry_on: list[str] = []


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


class StepModel(_Model):
    """One step."""

    id: Name
    name: str = ""
    description: str = ""
    component: Text = ""
    workflow: Text = ""
    wait_for: str | Object = ""
    sleep: Number | str | Object = 0
    loop: Object = {}
    terminate: Literal["success", "failure"] | TerminateModel = "success"
    inputs: Object = {}
    outputs: Object = {}
    condition: str | bool = True
    retry: RetryModel = RetryModel()
    timeout: Seconds = 0
    timeouts: TimeoutsModel = TimeoutsModel()
    foreach: Any = None
    depends_on: list[str] = []
    join: Literal["all", "any"] | JoinModel = "all"
    on_error: list[ErrorHandlerModel] = []
    effect: Literal["pure", "idempotent", "at_most_once", "compensable", "irreversible"] = "idempotent"
    priority: Annotated[Whole, Field(ge=-1000, le=1000)] = 0
    state: Object = {}
    metadata: Object = {}


class ConnectionModel(_Model):
    """A way from one step to another."""

    source: str
    target: str
    condition: str | bool = True
    transform: str = ""


class StateModel(_Model):
    """What 0.1.4 said about state."""

    isolation: Literal["none", "step", "agent", "workflow"] = "none"
    persistence: Literal["none", "memory", "disk", "database"] = "disk"
    sharing: list[Any] = []


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
    persistence: str | Object = "step"
    concurrency: Object = {}
    on_failure: Any = None
    execution: Literal["sequential", "graph"] = "sequential"

    @property
    def document(self) -> dict[str, Any]:
        """Give the document as JSON, with what was set and nothing else."""
        return self.model_dump(mode="json", exclude_unset=True)
