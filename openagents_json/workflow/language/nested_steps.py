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
    if "steps" in step:
        return (step, "")
    return None


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
    if isinstance(step, Mapping):
        return ({"steps": [{"id": FAILURE_STEP, **step}]}, "/on_failure")
    return None


def compensation_step(step: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what undoes a step, in the form of a step; None when nothing does."""
    value = step.get("compensate")
    if isinstance(value, str):
        value = {"component": value}
    if isinstance(value, Mapping):
        return {**value, "id": f"{step['id']}{COMPENSATE}"}
    return None


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
    yield from failure_steps(document)


def _within(
    block: Mapping[str, Any], frame: str, pointer: str
) -> Iterator[StepLocation]:
    for index, step in steps_in(block):
        yield from steps_from(step, frame, f"{pointer}/steps/{index}")


def steps_from(
    step: Mapping[str, Any], frame: str, pointer: str
) -> Iterator[StepLocation]:
    """Return a step with an id, what undoes it, and the steps inside of it."""
    path = inside(frame, step["id"])
    yield StepLocation(path, step, pointer)
    undo = compensation_step(step)
    if undo is not None:
        yield StepLocation(path + COMPENSATE, undo, f"{pointer}/compensate")
    held = block_of(step)
    if held is not None:
        yield from _within(held[0], path, pointer + held[1])


def failure_steps(document: Mapping[str, Any]) -> Iterator[StepLocation]:
    """Return the steps of what a document does when it fails."""
    failure = failure_block(document)
    if failure is not None:
        yield from _within(failure[0], ON_FAILURE, failure[1])
