"""What an inbound hook is asked to do, as people write it: how it is signed, what it lets in, and what then happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from openagents_json.engine.hooks.errors import InvalidHook

Preset = Literal["github", "slack", "stripe", "standard", "hmac"]
Expression = Annotated[str, Field(min_length=1, max_length=10_000)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,100}$")]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_OF_HMAC: Final = (*("header", "prefix", "encoding", "timestamp_header", "id_header"),)
"""What only `hmac` is told."""

_EITHER_SIGNED: Final[list[Any]] = [
    {
        "required": ["preset", "header"],
        "properties": {"preset": {"const": "hmac"}, "header": {"minLength": 1}},
    },
    {
        "properties": {
            "preset": {"enum": ["github", "slack", "stripe", "standard"]},
            **dict.fromkeys(_OF_HMAC, False),
        }
    },
]
_EITHER_ACTION: Final[list[Any]] = [
    {
        "required": [one],
        "properties": {one: {"type": "object"}, other: {"type": "null"}},
    }
    for one, other in (("start", "signal"), ("signal", "start"))
]
"""What the validators below say, as JSON Schema: who reads it is to know it, too."""


class Signature(_Part):
    """How deliveries are signed: as a service does it, or by `hmac` as the other fields say.

    `secrets` are names: OPENAGENTS_SECRET_<NAME> of the service has the secret. Each of them counts, so that one can
    take the place of another.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": _EITHER_SIGNED})

    preset: Preset
    secrets: list[SecretName] = Field(min_length=1, max_length=5)
    tolerance_seconds: int = Field(default=300, ge=1, le=86_400)
    header: HeaderName = Field(
        default="", description="Of `hmac`: the header with the signature."
    )
    prefix: str = Field(
        default="", max_length=50, description="Of `hmac`: what stands before it."
    )
    encoding: Literal["hex", "base64"] = "hex"
    timestamp_header: HeaderName = Field(
        default="",
        description="Of `hmac`: the header with the time, which is signed with a dot before the body.",
    )
    id_header: HeaderName = Field(
        default="", description="Of `hmac`: the header with the id of the delivery."
    )

    @model_validator(mode="after")
    def _only_of_hmac(self) -> Self:
        if self.preset == "hmac" and not self.header:
            raise ValueError("hmac needs the header that has the signature")
        if self.preset != "hmac" and self.model_fields_set & {*_OF_HMAC}:
            raise ValueError(f"{self.preset} says itself where its signature is")
        return self


class Debounce(_Part):
    """Of the deliveries of a key, let the last one start a run, when none has come for so many seconds.

    `key` may have expressions; without one, all deliveries of the hook have the same.
    """

    seconds: float = Field(gt=0, le=86_400)
    key: Expression | None = None


class StartAction(_Part):
    """Start a run of a published workflow; `inputs` may have expressions."""

    workflow: str = Field(min_length=1, max_length=300)
    inputs: dict[str, Any] | Expression = Field(default_factory=dict)
    labels: dict[str, str] | None = None
    debounce: Debounce | None = None


class SignalAction(_Part):
    """Send a signal to a run; `run`, `payload` and `key` may have expressions."""

    run: Expression
    name: str = Field(min_length=1, max_length=200)
    payload: Any = "{{ body }}"
    key: Expression | None = None


class HookSpec(_Part):
    """An inbound hook: `filter` lets deliveries in, then a run is started, or one gets a signal."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": _EITHER_ACTION,
            "examples": [
                {
                    "signature": {"preset": "github", "secrets": ["GITHUB_HOOK"]},
                    "filter": "body.ref == 'refs/heads/main'",
                    "start": {
                        "workflow": "deploy@^1",
                        "inputs": {"commit": "{{ body.after }}"},
                    },
                }
            ],
        }
    )

    signature: Signature
    filter: Expression | None = None
    start: StartAction | None = None
    signal: SignalAction | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if (self.start is None) == (self.signal is None):
            raise ValueError("it must have either `start` or `signal`")
        return self


def spec_of(value: Mapping[str, Any] | HookSpec) -> HookSpec:
    """Return what a hook is asked to do.

    Raises InvalidHook with the first problem.
    """
    if isinstance(value, HookSpec):
        return value
    try:
        return HookSpec.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        reason = first["msg"].removeprefix("Value error, ")
        raise InvalidHook(f"{where}: {reason}" if where else reason) from None
