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
_SCALARS: Final = (str, int, float, bool)
_SPENT: Final = object()


class Signature:
    """What a function takes: built once, checks the inputs of every call."""

    __slots__ = (
        "_adapters",
        "_name",
        "_returned",
        "context",
        "open",
        "parameters",
        "returns",
    )

    def __init__(
        self, function: Callable[..., Any], name: str, *, method: bool
    ) -> None:
        signature = inspect.signature(function)
        hints = _hints(function)
        self._name = name
        self.context: str | None = None
        self.open = False
        self._adapters: dict[str, tuple[type | None, TypeAdapter[Any] | None]] = {}
        self.parameters: tuple[Parameter, ...] = ()
        self._returned = hints.get("return", Any)
        self.returns = _type_name(self._returned)
        declared = list(signature.parameters.values())
        first = 1 if method else 0  # without `self`
        for parameter in declared[first:]:
            self._take(parameter, hints.get(parameter.name, Any))

    def _take(self, parameter: inspect.Parameter, hint: Any) -> None:
        """Note a parameter of the function."""
        name = parameter.name
        if parameter.kind is parameter.VAR_KEYWORD:
            self.open = True
        elif _is_context(parameter, hint):
            self.context = name
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            self.parameters = (*self.parameters, _parameter(parameter, hint))
            self._adapters[name] = _check_of(hint)

    def declared_schema(self) -> Mapping[str, Any] | None:
        """Return the JSON Schema of all inputs where the component declares one, and no type hints."""
        return None

    def adapter(self, name: str) -> TypeAdapter[Any] | None:
        """Return what checks a parameter, None where all is welcome."""
        exact, adapter = self._adapters[name]
        return adapter if exact is None else TypeAdapter(exact)

    def returned(self) -> TypeAdapter[Any] | None:
        """Return what the result is like, None where nothing is said of it."""
        is_open = self._returned in (Any, None, type(None))
        return None if is_open else _adapter(self._returned)

    def bind(self, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """Return the arguments of a call.

        Raises InvalidComponentInput.
        """
        arguments = {name: self._argument(name, inputs[name]) for name in inputs}
        required = [taken.name for taken in self.parameters if taken.required]
        for name in required:
            if name not in arguments:
                raise InvalidComponentInput(self._name, name, "is required")
        return arguments

    def _argument(self, name: str, value: Json) -> Any:
        """Check one input.

        Raises InvalidComponentInput.
        """
        check = self._adapters.get(name)
        if check is None:
            return self._unnamed(name, value)
        exact, adapter = check
        if adapter is not None:
            return self._checked(name, adapter, value)
        if exact is None or type(value) is exact:
            return value
        return self._coerced(name, exact, value)

    def _unnamed(self, name: str, value: Json) -> Json:
        if not self.open:
            names = ", ".join(self._adapters) or "none"
            why = f"there is no such input (there are: {names})"
            raise InvalidComponentInput(self._name, name, why)
        return value

    def _coerced(self, name: str, exact: type, value: Any) -> Any:
        if exact is int and isinstance(value, float) and value.is_integer():
            return int(value)
        why = f"must be {_PLAIN[exact]}, not {_type_of(value)}"
        raise InvalidComponentInput(self._name, name, why)

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
    except Exception:
        # An annotation names what does not exist here: it says nothing, then.
        annotations = getattr(function, "__annotations__", {})
        return {
            name: hint
            for name, hint in annotations.items()
            if not isinstance(hint, str)
        }


def _is_context(parameter: inspect.Parameter, hint: Any) -> bool:
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    members = typing.get_args(hint) if is_union else (hint,)
    if Context in members:
        return True
    return parameter.name == "context" and parameter.annotation is parameter.empty


def _check_of(hint: Any) -> tuple[type | None, TypeAdapter[Any] | None]:
    """Return what a value has to be exactly, or what checks it; neither where all is welcome."""
    if hint in _EXACT:
        return hint, None
    return None, None if hint is Any else _adapter(hint)


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
    is_model = isinstance(hint, type) and issubclass(hint, BaseModel)
    has_fields = origin in (dict, Mapping) or is_model or dataclasses.is_dataclass(hint)
    if has_fields:
        return "object"
    return "any"


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    return _PLAIN.get(type(value), type(value).__name__)


MAX_DEPTH: Final = 300
MAX_CONTAINERS: Final = 1_000_000
"""What is nested deeper, or has more objects and arrays in it, is left as it is: the codec refuses it."""


def plain(value: Any) -> Any:
    """Return models, dataclasses, enums and times as JSON types; the rest is left to the codec."""
    return _plain(value, 0, itertools.repeat(None, MAX_CONTAINERS))


def _plain(value: Any, depth: int, budget: Iterator[None]) -> Any:
    if _is_scalar(value):
        return value
    if depth > MAX_DEPTH or next(budget, _SPENT) is _SPENT:
        return value
    inner = depth + 1
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = _members_of(value)
    if isinstance(value, enum.Enum):
        return _plain(value.value, inner, budget)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(item, inner, budget) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, inner, budget) for item in value]
    return value


def _members_of(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass with their values, as they are."""
    names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names}


def _is_scalar(value: Any) -> bool:
    """Tell whether a value is JSON already; a member of an enumeration may be a text, and is more."""
    if value is None:
        return True
    return isinstance(value, _SCALARS) and not isinstance(value, enum.Enum)
