"""From a function to a component: its parameters as a spec, its arguments checked, its result made plain."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import itertools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from openagents_json.components.context import Context
from openagents_json.components.errors import InvalidComponentInput
from openagents_json.workflow.component_spec import Parameter
from openagents_json.workflow.types import Json

_PLAIN: Final = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    dict: "object",
    list: "array",
}
_EXACT: Final = (str, int, bool)
_SPENT: Final = object()


class Signature:
    """What a function takes: built once, checks the inputs of every call."""

    __slots__ = ("_adapters", "_name", "context", "open", "parameters", "returns")

    def __init__(
        self, function: Callable[..., Any], name: str, *, method: bool
    ) -> None:
        signature = inspect.signature(function)
        hints = _hints(function)
        self._name = name
        self.context: str | None = None
        self.open = False
        self._adapters: dict[str, tuple[type | None, TypeAdapter[Any] | None]] = {}
        found = []
        for parameter in list(signature.parameters.values())[1 if method else 0 :]:
            hint = hints.get(parameter.name, Any)
            if parameter.kind is parameter.VAR_KEYWORD:
                self.open = True
            elif _is_context(parameter, hint):
                self.context = parameter.name
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                found.append(_parameter(parameter, hint))
                exact = hint if hint in _EXACT else None
                self._adapters[parameter.name] = (
                    exact,
                    None if exact or hint is Any else _adapter(hint),
                )
        self.parameters = tuple(found)
        self.returns = _type_name(hints.get("return", Any))

    def bind(self, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """Return the arguments of a call.

        Raises InvalidComponentInput.
        """
        arguments: dict[str, Any] = {}
        for name, value in inputs.items():
            checked = self._adapters.get(name)
            if checked is None:
                if not self.open:
                    names = ", ".join(self._adapters) or "none"
                    raise InvalidComponentInput(
                        self._name, name, f"there is no such input (there are: {names})"
                    )
                arguments[name] = value
                continue
            exact, adapter = checked
            if exact is not None:
                arguments[name] = (
                    value if type(value) is exact else self._coerced(name, exact, value)
                )
            else:
                arguments[name] = (
                    value if adapter is None else self._checked(name, adapter, value)
                )
        for parameter in self.parameters:
            if parameter.required and parameter.name not in arguments:
                raise InvalidComponentInput(self._name, parameter.name, "is required")
        return arguments

    def _coerced(self, name: str, exact: type, value: Any) -> Any:
        if exact is int and isinstance(value, float) and value.is_integer():
            return int(value)
        raise InvalidComponentInput(
            self._name, name, f"must be {_PLAIN[exact]}, not {_type_of(value)}"
        )

    def _checked(self, name: str, adapter: TypeAdapter[Any], value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(key) for key in (name, *first["loc"]))
            raise InvalidComponentInput(self._name, path, first["msg"]) from error


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (
        Exception
    ):  # an annotation names what does not exist here: it says nothing, then
        return {
            k: v
            for k, v in getattr(function, "__annotations__", {}).items()
            if not isinstance(v, str)
        }


def _is_context(parameter: inspect.Parameter, hint: Any) -> bool:
    members = (
        typing.get_args(hint)
        if typing.get_origin(hint) in (typing.Union, types.UnionType)
        else (hint,)
    )
    unannotated = parameter.annotation is parameter.empty
    return Context in members or (parameter.name == "context" and unannotated)


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(hint, config=ConfigDict(coerce_numbers_to_str=False))
    except PydanticUserError:  # types with a configuration of their own
        try:
            return TypeAdapter(hint)
        except PydanticUserError:
            return None


def _parameter(parameter: inspect.Parameter, hint: Any) -> Parameter:
    required = parameter.default is parameter.empty
    default = None if required else plain(parameter.default)
    if not isinstance(default, str | int | float | bool | list | dict | None):
        default = None
    return Parameter(parameter.name, _type_name(hint), required, default)


def _type_name(hint: Any) -> str:
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin = typing.get_origin(hint)
    if origin in (list, tuple, set, frozenset):
        return "array"
    if origin in (dict, Mapping) or (
        isinstance(hint, type) and issubclass(hint, BaseModel)
    ):
        return "object"
    return "object" if dataclasses.is_dataclass(hint) else "any"


def _type_of(value: Any) -> str:
    return "null" if value is None else _PLAIN.get(type(value), type(value).__name__)


MAX_DEPTH: Final = 300
MAX_CONTAINERS: Final = 1_000_000
"""What is nested deeper, or has more objects and arrays in it, is left as it is: the codec refuses it."""


def plain(value: Any) -> Any:
    """Return models, dataclasses, enums and times as JSON types; the rest is left to the codec."""
    return _plain(value, 0, itertools.repeat(None, MAX_CONTAINERS))


def _plain(value: Any, depth: int, budget: Iterator[None]) -> Any:
    if value is None or (
        isinstance(value, str | int | float | bool) and not isinstance(value, enum.Enum)
    ):
        return value
    if depth > MAX_DEPTH or next(budget, _SPENT) is _SPENT:
        return value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            x.name: _plain(getattr(value, x.name), depth + 1, budget)
            for x in dataclasses.fields(value)
        }
    if isinstance(value, enum.Enum):
        return _plain(value.value, depth + 1, budget)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item, depth + 1, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1, budget) for item in value]
    return value
