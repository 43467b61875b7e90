"""Catalogs and components that take whatever a document asks of them."""

from __future__ import annotations

from typing import Any

from openagents_json.workflow.component_spec import ComponentSpec


class AnyComponent:
    """A catalog in which every component is there and takes anything."""

    def find(self, reference: str) -> ComponentSpec | None:
        return ComponentSpec(reference)

    def names(self) -> list[str]:
        return []


class Anything(dict[str, object]):
    """Stand-ins for every component there is: they give an object."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: str) -> object:
        return {"x": 1, "items": [1, "a"]}


class Moody(Anything):
    """Components that give something else each time, or fail; the same each time they are begun with."""

    RESULTS: tuple[Any, ...] = (
        None,
        ValueError("no"),
        {"x": 2},
        "text",
        TimeoutError("late"),
        [1, {"x": 2}],
        7.5,
        KeyError("x"),
        {},
        False,
    )

    def __init__(self) -> None:
        self._calls = 0

    def __getitem__(self, name: str) -> object:
        self._calls += 1
        return self.RESULTS[self._calls % len(self.RESULTS)]
