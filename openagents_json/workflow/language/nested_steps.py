"""Where documents hold steps inside of steps: loops, blocks, compensations, and what is done on failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from openagents_json.workflow.core.paths import COMPENSATE, ON_FAILURE, inside

FAILURE_STEP = "on_failure"


@dataclass(frozen=True, slots=True)
class StepLocation:
    """A step of a document: its static path, and its JSON pointer."""

    path: str
    step: Mapping[str, Any]
    pointer: str


def block_of(step: Mapping[str, Any]) -> tuple[Mapping[str, Any], str] | None:
    """Return what holds the inner steps of a step, and where that is; None when it has none."""
    loop = step.get("loop")
    if isinstance(loop, Mapping) and "steps" in loop:
        return loop, "/loop"
    return (step, "") if "steps" in step else None


def failure_block(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], str] | None:
    """Return what a document does when it fails, in the form of a block."""
    value = document.get("on_failure")
    if value is None:
        return None
    if isinstance(value, list | tuple):
        return {"steps": value}, "/on_failure"
    if isinstance(value, Mapping) and "steps" in value:
        return value, "/on_failure"
    step = {"component": value} if isinstance(value, str) else value
    return (
        ({"steps": [{"id": FAILURE_STEP, **step}]}, "/on_failure")
        if isinstance(step, Mapping)
        else None
    )


def compensation_step(step: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what undoes a step, in the form of a step; None when nothing does."""
    value = step.get("compensate")
    if isinstance(value, str):
        value = {"component": value}
    return (
        {**value, "id": f"{step['id']}{COMPENSATE}"}
        if isinstance(value, Mapping)
        else None
    )


def steps_in(block: Mapping[str, Any]) -> list[tuple[int, Mapping[str, Any]]]:
    """Return the steps of a block that have an id, with their numbers."""
    steps = block.get("steps")
    if not isinstance(steps, list | tuple):
        return []
    return [
        (i, s)
        for i, s in enumerate(steps)
        if isinstance(s, Mapping) and isinstance(s.get("id"), str)
    ]


def all_steps(document: Mapping[str, Any]) -> Iterator[StepLocation]:
    """Return every step with an id, nested ones and compensations too, each before those inside of it."""
    yield from _within(document, "", "")
    failure = failure_block(document)
    if failure is not None:
        yield from _within(failure[0], ON_FAILURE, failure[1])


def _within(
    block: Mapping[str, Any], frame: str, pointer: str
) -> Iterator[StepLocation]:
    for index, step in steps_in(block):
        path, at = inside(frame, step["id"]), f"{pointer}/steps/{index}"
        yield StepLocation(path, step, at)
        undo = compensation_step(step)
        if undo is not None:
            yield StepLocation(path + COMPENSATE, undo, f"{at}/compensate")
        held = block_of(step)
        if held is not None:
            yield from _within(held[0], path, at + held[1])
