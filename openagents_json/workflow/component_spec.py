"""What the core knows of components: their specs, as data, and how to look them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, Protocol

from openagents_json.workflow.types import Json

DEFAULT_QUEUE: Final = "tool"
"""The worker type of components that say none."""

USUAL_TYPES: Final = ("agent", "asset", "tool")
"""The worker types that there are without any worker: components have that of their kind."""

EFFECTS: Final = ("pure", "idempotent", "at_most_once", "compensable", "irreversible")
"""What may be done with a component, and with a step; the reference says what each means."""

LIMITS: Final[Mapping[str, int]] = {
    "memory_mb": 4_194_304,
    "step_seconds": 366 * 86_400,
    "max_attempts": 1_000_000,
}
"""What an attempt and a step may take at most, among the `resources` of a component, and what is the most of each."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of a component; `type` is a name of the format (string, number, ..., any), None is "no such rule"."""

    name: str
    type: str = "any"
    required: bool = True
    default: Json = None
    description: str = ""
    enum: tuple[Json, ...] | None = None
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """A component as data; `inputs` None means that it takes anything, `queue` is the worker type that runs it.

    `timeout_ms`, `retry` and `timeouts`, which are as a step's, hold for steps that say nothing of them. `build` names
    the code: runs are not bound to it, and their attempts say which one ran them. Those of `resources` that are limits
    are held by whoever runs the component, the others are for people.
    """

    name: str
    version: str = "0.1.0"
    kind: str = "tool"
    queue: str = DEFAULT_QUEUE
    is_async: bool = False
    inputs: tuple[Parameter, ...] | None = None
    output: Json = "any"
    effect: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    timeout_ms: int = 0
    lost_limit: int = 3
    retry: Mapping[str, Json] | None = None
    timeouts: Mapping[str, Json] | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    build: str = ""
    author: str = ""
    examples: tuple[Json, ...] = ()
    dependencies: tuple[str, ...] = ()
    resources: Mapping[str, Json] = field(default_factory=dict)


def is_limit(name: str, value: Any) -> bool:
    """Tell whether a value can be that of one of LIMITS; 0 is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    is_kind = name == "step_seconds" or isinstance(value, int)
    return is_kind and 0 <= value <= LIMITS[name]


def wrong_limit(resources: Mapping[str, Any]) -> str:
    """Return which of the LIMITS among resources has a value that it cannot have, empty for none."""
    wrong = (
        name
        for name in LIMITS
        if name in resources and not is_limit(name, resources[name])
    )
    return next(wrong, "")


class Schemas(NamedTuple):
    """The JSON Schemas that were derived from the code of a component; None where there is no code.

    `lenient` are the inputs that are read by code of its own, which may take more than their schemas say.
    """

    inputs: Mapping[str, Any] | None = None
    result: Any = None
    lenient: frozenset[str] = frozenset()


class Catalog(Protocol):
    """Where components are looked up; a reference is a name, optionally with `@` and a semver range."""

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the best match of a reference, None when there is none."""
        ...

    def names(self) -> Iterable[str]:
        """Return all names, to suggest the nearest."""
        ...


def to_json(spec: ComponentSpec) -> dict[str, Any]:
    """Return a spec as JSON; what has its default is left out, so that the form is stable when fields are added."""
    data = _changed(spec, ComponentSpec(spec.name))
    if spec.inputs is not None:
        data["inputs"] = [_changed(item, Parameter(item.name)) for item in spec.inputs]
    return {"name": spec.name, **data}


def _changed(item: Any, plain: Any) -> dict[str, Any]:
    """Return the fields that differ from a plain item (always its name), tuples as arrays."""
    data = {}
    for name in [member.name for member in fields(item)]:
        value = getattr(item, name)
        if (
            name == "name"
            or value != getattr(plain, name)
            or type(value) is not type(getattr(plain, name))
        ):
            data[name] = list(value) if isinstance(value, tuple) else value
    return data


def from_json(data: Mapping[str, Any]) -> ComponentSpec:
    """Read a spec; fields of a newer version are dropped."""
    values = _known(data, ComponentSpec)
    if values.get("inputs") is not None:
        values["inputs"] = tuple(_parameter(item) for item in values["inputs"])
    for name in {"tags", "examples", "dependencies"} & values.keys():
        values[name] = tuple(values[name])
    return ComponentSpec(**values)


def _parameter(data: Mapping[str, Any]) -> Parameter:
    values = _known(data, Parameter)
    if values.get("enum") is not None:
        values["enum"] = tuple(values["enum"])
    return Parameter(**values)


def _known(data: Mapping[str, Any], kind: type) -> dict[str, Any]:
    names = {member.name for member in fields(kind)}
    return {key: value for key, value in data.items() if key in names}
