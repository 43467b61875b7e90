"""Pictures for who draws them: each step has a place of its own, and a document is laid out once."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from openagents_json.engine.answers.layouts import PlacedStep
from openagents_json.engine.cataloging.written_plans import written_plan
from openagents_json.engine.pictures.layout import Layouts, layout_of
from openagents_json.workflow.core.plan import Plan

NESTED: Any = {
    "id": "nested",
    "inputs": {"n": {}},
    "steps": [
        {"id": "first", "component": "fetch"},
        {
            "id": "each",
            "depends_on": ["first"],
            "foreach": "{{input.n}}",
            "steps": [
                {"id": "left", "component": "parse"},
                {"id": "right", "component": "parse"},
                {"id": "both", "component": "join", "depends_on": ["left", "right"]},
            ],
        },
        {"id": "last", "component": "store", "depends_on": ["each"]},
    ],
    "on_failure": {"component": "alarm"},
}


def chain(length: int, **options: Any) -> Plan:
    steps: list[Any] = [{"id": "s0", "component": "c"}]
    for number in range(1, length):
        before = [f"s{number - 1}"]
        steps.append({"id": f"s{number}", "component": "c", "depends_on": before})
    return written_plan({"id": "chain", "steps": steps, **options})


def meet(one: PlacedStep, other: PlacedStep) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def holds(outer: PlacedStep, inner: PlacedStep) -> bool:
    right = inner.x + inner.width < outer.x + outer.width
    below = inner.y + inner.height < outer.y + outer.height
    return outer.x < inner.x and outer.y < inner.y and right and below


def test_every_step_has_a_place_and_inner_steps_are_inside() -> None:
    layout = layout_of(written_plan(NESTED))
    steps = {step.path: step for step in layout.steps}
    inner = {"each.left", "each.right", "each.both"}
    assert steps.keys() > inner | {"first", "each", "last"}
    for step in layout.steps:
        assert step.x + step.width <= layout.width
        assert step.y + step.height <= layout.height
        assert step.texts.count("") == 1  # for how it stands
    for one, other in combinations(layout.steps, 2):
        if meet(one, other):
            assert holds(one, other) or holds(other, one), (one.path, other.path)
    assert all(holds(steps["each"], steps[path]) for path in inner)
    assert steps["first"].y < steps["each"].y < steps["last"].y
    assert layout.heads
    assert all(line.x == line.to_x or line.y == line.to_y for line in layout.lines)


def test_long_documents_have_a_place_for_each_step_too() -> None:
    layout = layout_of(chain(500))
    assert len(layout.steps) == 500
    assert all(step.texts.count("") == 1 for step in layout.steps)


def test_a_thousand_steps_have_lines_between_them() -> None:
    steps: list[Any] = []
    for number in range(1_000):
        before = [f"s{other}" for other in (number - 20, number - 23) if other >= 0]
        steps.append({"id": f"s{number}", "component": "c", "depends_on": before})
    layout = layout_of(written_plan({"id": "woven", "steps": steps}))
    notes = {text for step in layout.steps for text in step.texts}
    assert not any(note.startswith("after ") for note in notes)
    assert len(layout.heads) >= 980  # each step that comes after others


def test_a_document_is_laid_out_once_and_few_are_kept() -> None:
    layouts = Layouts(capacity=2)
    one, two, three = (chain(length) for length in (1, 2, 3))
    first = layouts.of(one)
    assert layouts.of(chain(1)) is first  # another plan of the same document
    layouts.of(two)
    layouts.of(three)
    assert layouts.of(two) == layout_of(two)
    assert layouts.of(one) is not first
