"""A document that is edited: after an edit, only what it can affect is looked at again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from openagents_json.workflow.component_spec import ComponentSpec, Parameter
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.validation.session import ValidationSession

COUNT = 50


class Components:
    """Two components: one takes `x` and nothing else, the other anything."""

    def find(self, reference: str) -> ComponentSpec | None:
        specs = {
            "strict": ComponentSpec("strict", inputs=(Parameter("x"),)),
            "c": ComponentSpec("c"),
        }
        return specs.get(reference)

    def names(self) -> list[str]:
        return ["strict", "c"]


def document(**more: Any) -> dict[str, Any]:
    steps = [
        {"id": f"s{i}", "component": "c", "inputs": {"x": f"{{{{s{i - 1}.output}}}}"}}
        for i in range(1, COUNT)
    ]
    first = {"id": "s0", "component": "c", "inputs": {"x": "{{input.a}}"}}
    inputs = {"a": {"type": "string"}, "b": {"type": "string"}}
    return {
        "id": "w",
        "inputs": inputs,
        "steps": [first, *steps],
        "output": ["{{s7.output}}", "{{input.b}}"],
        **more,
    }


def test_a_document_that_has_not_changed_is_not_looked_at_again() -> None:
    text = json.dumps(document())
    session = ValidationSession()
    first = session.check(text)
    assert (session.done.documents, session.done.steps) == (1, COUNT)
    assert session.check(text) is first
    assert session.done.checks == 0
    assert session.check(json.dumps(document(), indent=2)) == first
    assert session.done.checks == 0


Change = Callable[[dict[str, Any]], None]


def change(pointer: str, value: Any) -> Change:
    def apply(changed: dict[str, Any]) -> None:
        holder: Any = changed
        *keys, last = [int(x) if x.isdigit() else x for x in pointer.split("/")]
        for key in keys:
            holder = holder[key]
        holder[last] = value

    return apply


def insert(index: int, step: dict[str, Any]) -> Change:
    return lambda changed: changed["steps"].insert(index, step)


def swap(changed: dict[str, Any]) -> None:
    steps = changed["steps"]
    steps[30], steps[31] = steps[31], steps[30]


@pytest.mark.parametrize("as_text", [True, False], ids=["text", "value"])
@pytest.mark.parametrize(
    ("edit", "looked_at"),
    [
        (change("steps/9/inputs/x", "{{s3.output}}"), (0, 1, 1)),
        (change("steps/9/inputs/x", "{{ s8.output }}"), (0, 1, 0)),
        (change("steps/9/description", "what it is for"), (0, 1, 0)),
        (change("steps/9/component", "strict"), (0, 2, 0)),
        (change("steps/7/outputs", {"y": "{{result}}"}), (1, 2, 0)),
        (change("steps/9/id", "t9"), (0, 2, 0)),
        (change("inputs/a/type", "integer"), (1, 1, 0)),
        (change("inputs/b/type", "integer"), (1, 0, 0)),
        (change("output/0", "{{s8.output}}"), (1, 0, 0)),
        (insert(20, {"id": "new", "component": "c"}), (0, 1, 1)),
        (insert(20, {"id": "s4", "component": "c"}), (0, 3, 0)),
        (swap, (0, 0, 1)),
    ],
    ids=[
        *("reference", "spaces", "description", "component", "outputs", "id"),
        *("used input", "unused input", "output", "insert", "double", "swap"),
    ],
)
def test_only_what_an_edit_can_affect_is_looked_at_again(
    edit: Change, looked_at: tuple[int, int, int], as_text: bool
) -> None:
    form: Any = json.dumps if as_text else (lambda value: value)
    edited = document()
    session = ValidationSession(Components())
    session.check(form(edited))
    edit(edited)
    report = session.check(form(edited))
    done = session.done
    assert (done.documents, done.steps, done.orders) == looked_at
    assert report == validate(form(edited), Components())


def test_a_connection_is_looked_at_by_itself() -> None:
    ends = [{"source": f"s{i}", "target": f"s{i + 1}.y"} for i in range(10)]
    edited = document(connections=ends)
    session = ValidationSession(Components())
    session.check(edited)
    edited["connections"][3]["target"] = "s4.z"
    assert session.check(edited) == validate(edited, Components())
    assert (session.done.connections, session.done.steps) == (1, 1)


def test_a_text_that_is_broken_while_somebody_types_costs_nothing_later() -> None:
    text = json.dumps(document(), indent=1)
    session = ValidationSession()
    session.check(text)
    broken = text.replace('"s9"', '"s9')
    assert session.check(broken) == validate(broken)
    edited = text.replace('"s9"', '"s99"')
    assert session.check(edited) == validate(edited)
    assert (session.done.documents, session.done.steps) == (0, 2)


@pytest.mark.parametrize(
    "other",
    [
        "[]",
        "",
        "{",
        b"\xff",
        '{"id": "w", "steps": []}',
        '{"id": "w", "steps": {}}',
        '{"id": "w", "steps": [1, {"id": 2}]}',
        '{"id": "w", "steps": [{"id": "a", "component": "c", "id": "b"}]}',
        {"id": "w", "steps": [{"id": "a", "component": {1, 2}}]},
        {"id": "w", "steps": "abc", "connections": [{}]},
    ],
)
def test_whatever_comes_in_between_is_told_as_from_scratch(other: Any) -> None:
    text = json.dumps(document())
    session = ValidationSession(Components())
    for each in (other, text, other, other, text, document()):
        assert session.check(each) == validate(each, Components())


def test_components_are_looked_up_again_in_another_catalog() -> None:
    session = ValidationSession(Components())
    edited = document()
    edited["steps"][3]["component"] = "gone"
    assert [problem.code for problem in session.check(edited).problems] == [
        "unknown_component"
    ]
    session.use(None)
    assert session.check(edited).problems == ()


def test_a_document_in_yaml_is_checked_part_by_part_too() -> None:
    text = "id: w\nsteps:\n" + "".join(
        f"  - id: s{i}\n    component: c\n" for i in range(5)
    )
    session = ValidationSession()
    assert session.check(text, is_yaml=True).problems == ()
    edited = text.replace("id: s3\n    component", "id: s3\n    componet")
    [problem, _] = session.check(edited, is_yaml=True).problems
    assert (problem.code, problem.line) == ("schema_error.required", 9)
    assert session.done.steps == 1


def test_steps_of_one_id_are_seen_together() -> None:
    edited = document(connections=[{"source": "b.o", "target": "s3"}])
    edited["steps"].append({"id": "b", "component": "c"})
    session = ValidationSession()
    session.check(edited)
    edited["steps"][5] = {"id": "b", "component": "c", "outputs": {}}
    assert session.check(edited) == validate(edited)


def test_a_suggestion_that_was_cut_short_is_looked_for_again_once_there_is_room() -> (
    None
):
    ids = [f"step{index:03}" for index in range(100)]
    steps = [{"id": name, "component": "c", "depends_on": [f"x{name}"]} for name in ids]
    session = ValidationSession()
    session.check({"id": "w", "steps": steps})
    mended = [{**step, "depends_on": []} for step in steps[:90]]
    edited = {"id": "w", "steps": [*mended, *steps[90:]]}
    assert session.check(edited) == validate(edited)
