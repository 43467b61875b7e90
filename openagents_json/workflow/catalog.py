"""What the core knows of components: their specs, as data, and how to look them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of a component; `type` is a name of the format (string, number, ..., any)."""

    name: str
    type: str = "any"
    required: bool = True
    default: Json = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """A component as data; `inputs` None means that it takes anything, `queue` is the worker type that runs it."""

    name: str
    version: str = "0.1.0"
    kind: str = "tool"
    queue: str = "tool"
    is_async: bool = False
    inputs: tuple[Parameter, ...] | None = None
    output: str = "any"
    effect: str | None = None
    description: str = ""
    tags: tuple[str, ...] = ()
    timeout_ms: int = 0
    lost_limit: int = 3
    metadata: Mapping[str, Json] = field(default_factory=dict)


class Catalog(Protocol):
    """Where components are looked up; a reference is a name, optionally with `@` and a semver range."""

    def find(self, reference: str) -> ComponentSpec | None:
        """Give the best match of a reference, None when there is none."""
        ...

    def names(self) -> Iterable[str]:
        """Give all names, to suggest the nearest."""
        ...


def to_json(spec: ComponentSpec) -> dict[str, Any]:
    """Give a spec as JSON; defaults are left out."""
    plain = ComponentSpec(spec.name)
    data: dict[str, Any] = {"name": spec.name}
    for item in fields(spec):
        value = getattr(spec, item.name)
        if value != getattr(plain, item.name):
            data[item.name] = value
    if spec.inputs is not None:
        data["inputs"] = [{f.name: getattr(p, f.name) for f in fields(p)} for p in spec.inputs]
    if "tags" in data:
        data["tags"] = list(spec.tags)
    return data


def from_json(data: Mapping[str, Any]) -> ComponentSpec:
    """Read a spec; fields of a newer version are dropped."""
    known = {f.name for f in fields(ComponentSpec)}
    values = {key: value for key, value in data.items() if key in known}
    if values.get("inputs") is not None:
        names = {f.name for f in fields(Parameter)}
        values["inputs"] = tuple(Parameter(**{k: v for k, v in p.items() if k in names}) for p in values["inputs"])
    if "tags" in values:
        values["tags"] = tuple(values["tags"])
    return ComponentSpec(**values)
