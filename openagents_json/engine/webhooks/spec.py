"""What a webhook is asked to do, as people write it: what it is told of, where, and how it is signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    WithJsonSchema,
)

from openagents_json.engine.webhooks.errors import InvalidWebhook
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import EVENT_TYPES

ENDS: Final = tuple(
    kind.__name__ for kind in (ev.RunCompleted, ev.RunFailed, ev.RunCancelled)
)
"""What a webhook is told of, unless it says otherwise."""

_EVENTS: Final = frozenset(kind.__name__ for kind in EVENT_TYPES)
_LONGEST_URL: Final = 2_000
_URL: Final = r"^https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?([/?][!-~]*)?$"
"""An address of the web: without a user, as that would stand in the log."""


def _of_runs(name: str) -> str:
    if name not in _EVENTS:
        raise ValueError(f"there is no event {name!r} of runs")
    return name


EventName = Annotated[
    str, AfterValidator(_of_runs), WithJsonSchema({"enum": sorted(_EVENTS)})
]


def _a_number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError("it is no number")
    return value


class Retries(BaseModel):
    """How often a delivery is tried again, each time after a wait that is twice as long, an hour at most."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_retries: Annotated[int, BeforeValidator(_a_number)] = Field(
        default=12, ge=0, le=100
    )
    delay_seconds: Annotated[float, BeforeValidator(_a_number)] = Field(
        default=5, ge=0, le=3600
    )


class WebhookSpec(BaseModel):
    """A webhook: `events` of runs are told to `url`; `workflows` and `labels` choose the runs, else all are.

    `secret` is a name: OPENAGENTS_SECRET_<NAME> of the workers has the secret, base64 behind `whsec_`.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "url": "https://example.com/runs",
                    "secret": "RUNS_WEBHOOK",
                    "events": list(ENDS[:2]),
                    "workflows": ["deploy"],
                }
            ]
        },
    )

    url: str = Field(max_length=_LONGEST_URL, pattern=_URL)
    secret: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]
    events: list[EventName] = Field(default_factory=lambda: list(ENDS), min_length=1)
    workflows: list[str] = Field(default_factory=list, max_length=100)
    labels: dict[str, str] = Field(default_factory=dict)
    retry: Retries = Retries()
    enabled: StrictBool = True


def spec_of(value: Mapping[str, Any]) -> WebhookSpec:
    """Return what a webhook is asked to do.

    Raises InvalidWebhook with the first problem.
    """
    try:
        return WebhookSpec.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidWebhook(f"{where}: {reason}" if where else reason) from None
