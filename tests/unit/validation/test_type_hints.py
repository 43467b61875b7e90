"""What type hints say of values: whatever is taken or given at a run is no finding before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_serializer

from openagents_json.catalog.registry import Registry
from openagents_json.components.binding import plain
from openagents_json.workflow.expressions.payload_schema import fits
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.validation.schemas.callees import Callees


class Wordy(BaseModel):
    """Has fields that are called like parts of pydantic's schemas."""

    type: str = "x"
    missing: int = 1
    config: dict[str, int] = {}
    serialization: list[int] = []


class Pair(NamedTuple):
    first: int
    second: str = "x"


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: list[str] = Field(default=["x"], alias="wholeName")


class UnderAliases(BaseModel):
    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    name: list[str] = Field(default=["x"], alias="wholeName")


class Written(BaseModel):
    count: int = 1
    items: list[int] = [1, 2]

    @field_serializer("count")
    def _count(self, value: int) -> str:
        return str(value)

    @field_serializer("items")
    def _items(self, value: list[int]):  # type: ignore[no-untyped-def]
        return ",".join(map(str, value))


class InPython:
    """Takes more of a program than of a JSON text."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.json_or_python_schema(
            json_schema=core_schema.str_schema(),
            python_schema=core_schema.any_schema(),
        )


def component(function: Callable[..., Any], **hints: Any) -> Registry:
    function.__annotations__ = {
        name.replace("returned", "return"): hint for name, hint in hints.items()
    }
    registry = Registry()
    registry.tool(function)
    return registry


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Wordy, {"type": "y"}),
        (Pair, {"first": 1}),
        (Pair, [1, "y"]),
        (Iterable[int], "text"),
        (Iterable[int], {"a": 1}),
        (InPython, [1]),
        (list[InPython], [[1]]),
        (Aliased, {"wholeName": ["y"]}),
    ],
)
def test_what_a_run_takes_is_no_finding(hint: Any, value: Any) -> None:
    def take(x: Any) -> None:
        del x

    registry = component(take, x=hint)
    registry.resolve("take").signature.bind({"x": value})
    step = {"id": "s", "component": "take", "inputs": {"x": value}}
    assert validate({"id": "w", "steps": [step]}, registry).problems == ()


@pytest.mark.parametrize(
    ("hint", "result"),
    [
        (Wordy, Wordy()),
        (Pair, Pair(1)),
        (Aliased, Aliased()),
        (UnderAliases, UnderAliases()),
        (Written, Written()),
        (list[Written], [Written()]),
    ],
)
def test_what_a_run_gives_is_what_is_said_of_it(hint: Any, result: Any) -> None:
    def give() -> Any:
        return result

    registry = component(give, returned=hint)
    schema = Callees(registry).result_of({"component": "give"})
    assert fits(schema, plain(result))


def test_a_model_with_a_field_named_type_is_registered() -> None:
    def take(x: Any) -> None:
        del x

    [spec] = component(take, x=Wordy).published().values()
    assert "lenient_inputs" not in spec
