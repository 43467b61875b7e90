"""What of a valid document can come to nothing, is not used, or shows what nobody should see: each is told once."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.workflow.component_spec import ComponentSpec
from openagents_json.workflow.language.problems import Report
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.validation.modes import in_mode
from openagents_json.workflow.validation.session import ValidationSession

A: dict[str, Any] = {"id": "a", "component": "c"}
B: dict[str, Any] = {"id": "b", "component": "c"}
KIND = {"kind": {"type": "string", "enum": ["x", "y"]}}
BOUNDED = {"n": {"type": "integer", "minimum": 1, "maximum": 5}}
ONE = {"kind": {"enum": ["x"], "required": True}}
THREE = {"n": {"type": "integer", "minimum": 3, "maximum": 3, "required": True}}
COUNT = {"n": {"type": "integer"}}


def steps(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(items), **more}


def told(document: Any, catalog: Any = None) -> list[tuple[str, str]]:
    report = validate(document, catalog)
    assert report.valid
    return [(problem.code, problem.pointer) for problem in report.problems]


@pytest.mark.parametrize(
    "condition",
    [False, "false", "{{ false }}", "{{ 1 > 2 }}", "${1 == 2}", "{{ '' }}", "0"],
)
def test_a_condition_that_never_holds_is_told(condition: Any) -> None:
    document = steps({**A, "condition": condition})
    assert told(document) == [("never_runs", "/steps/0/condition")]


@pytest.mark.parametrize(
    ("inputs", "condition", "is_told"),
    [
        (KIND, "input.kind == 'z'", True),
        (KIND, "{{ inputs.kind == 'x' }}", False),
        (COUNT, "{{ input.n == '5' }}", True),
        (COUNT, "{{ input.n == 5 }}", False),
        (COUNT, "input.n and a.status == 'complete'", True),
        (COUNT, "input.n or a.status == 'complete'", False),
        (COUNT, "input.n and not (a.status == 'complete')", False),
        (COUNT, "{{ 1 if a.status == 'complete' and input.n else 2 }}", False),
        ({}, "'complete' == a.status", True),
        ({}, "{{ steps.a.status == 'complete' }}", True),
        ({}, "steps.a.status == 'completed'", False),
        (KIND, "input.kind in ['p', \"q\"]", True),
        (KIND, "input.kind in ['p', 'x']", False),
        (KIND, "input.kind in ('p')", False),
        (KIND, "input.kind == 'x' and inputs.kind in ['y', 'z']", True),
        (KIND, "input.kind == 'x' and a.status == 'completed'", False),
        (BOUNDED, "input.n > 5", True),
        (BOUNDED, "{{ input.n >= 5 }}", False),
        (BOUNDED, "input.n < 1 and a.success", True),
        (BOUNDED, "input.n <= 1", False),
        (BOUNDED, "input.n == 0.5", True),
        (BOUNDED, "input.n == 5", False),
        (COUNT, "input.n > 5", False),
        (ONE, "input.kind != 'x'", True),
        (ONE, "{{ 'x' != inputs.kind }}", True),
        (ONE, "input.kind not in ['x', 'y']", True),
        (ONE, "input.kind != 'y'", False),
        (KIND, "input.kind not in ['x', 'y']", False),
        (KIND, "input.kind == 'x' and input.kind != 'x'", True),
        (KIND, "input.kind in ['x', 'y'] and input.kind != 'x'", False),
        (THREE, "input.n != 3", True),
        (THREE, "input.n != 4", False),
        ({"n": {**THREE["n"], "required": False}}, "input.n != 3", False),
        ({}, "a.status != 'complete'", False),
        ({}, "a.status == 'complete'", True),
        ({}, "a.status == 'completed'", False),
        ({}, "a.output.status == 'complete'", False),
        ({}, "{{ a.success }}", False),
        ({}, True, False),
    ],
)
def test_a_comparison_with_what_never_is_is_told(
    inputs: Any, condition: Any, is_told: bool
) -> None:
    document = steps(A, {**B, "condition": condition}, inputs=inputs)
    codes = [code for code, _ in told(document)]
    assert ("never_runs" in codes) is is_told


def test_steps_behind_the_end_never_run() -> None:
    end = {"id": "end", "terminate": "success"}
    assert told(steps(A, end, B)) == [("never_runs", "/steps/2")]
    assert told(steps(A, {**end, "condition": "{{a.success}}"}, B)) == []
    assert told(steps(A, end, B, execution="graph")) == []
    jumping = {**A, "on_error": [{"then": {"goto": "b"}}]}
    assert told(steps(jumping, end, B)) == []
    inside = steps({"id": "box", "steps": [end, B]})
    assert told(inside) == [("never_runs", "/steps/0/steps/1")]


def test_steps_whose_edges_are_all_closed_never_run() -> None:
    closed = {"source": "a", "target": "b", "condition": "{{ false }}"}
    expected = [
        ("never_true", "/connections/0/condition"),
        ("never_runs", "/steps/1"),
    ]
    assert told(steps(A, B, connections=[closed])) == expected
    joined = {**B, "id": "d", "join": {"n": 2}}
    to_d = [{**closed, "target": "d"}, {"source": "b", "target": "d"}]
    expected = [
        ("never_true", "/connections/0/condition"),
        ("never_joins", "/steps/2/join/n"),
    ]
    assert told(steps(A, B, joined, connections=to_d)) == expected


def test_what_comes_behind_a_step_that_never_runs_never_runs() -> None:
    never = {**A, "condition": False}
    c = {"id": "c", "component": "c", "depends_on": ["b"]}
    after = {**B, "depends_on": ["a"]}
    expected = [
        ("never_runs", "/steps/0/condition"),
        ("never_runs", "/steps/1"),
        ("never_runs", "/steps/2"),
    ]
    assert told(steps(never, after, c)) == expected
    other = {"id": "o", "component": "c"}
    alive = {**c, "depends_on": ["b", "o"]}
    assert told(steps(never, after, alive, other)) == expected[:2]
    # In a sequence, a step whose condition is false is passed over.
    assert told(steps(never, B)) == expected[:1]
    end = {"id": "a", "terminate": "success"}
    assert told(steps(end, after)) == [("never_runs", "/steps/1")]
    handled = {**end, "on_error": [{"then": "continue"}]}
    assert told(steps(handled, after)) == []
    session = ValidationSession()
    for condition in ("{{ true }}", "{{ false }}", "{{ workflow.id }}", "{{ 0 }}"):
        document = steps({**A, "condition": condition}, after, c)
        assert session.check(document).problems == validate(document).problems


def test_a_loop_that_never_begins_or_never_ends_by_itself_is_told() -> None:
    loop = {"max_iterations": 3, "steps": [A], "while": "false", "until": "{{ 0 }}"}
    assert told(steps({"id": "l", "loop": loop})) == [
        ("never_runs", "/steps/0/loop/while"),
        ("never_true", "/steps/0/loop/until"),
    ]


def test_a_handler_behind_one_for_every_error_is_told() -> None:
    handlers = [{"errors": ["A"], "then": "fail"}, {"then": "continue"}]
    assert told(steps({**A, "on_error": handlers})) == []
    assert told(steps({**A, "on_error": [*handlers, handlers[0]]})) == [
        ("unreachable_handler", "/steps/0/on_error/2")
    ]


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("{{input.n}}", False),
        ("${inputs.n}", False),
        ("input.n", False),
        ("{{input['n']}}", False),
        ("{{ input[workflow.id] }}", False),
        ("{{input}}", False),
        ("n", True),
        ("{{workflow.id}}", True),
    ],
)
def test_an_input_that_nothing_refers_to_is_told(text: str, is_told: bool) -> None:
    document = steps({**A, "inputs": {"x": text}}, inputs=COUNT)
    assert told(document) == ([("unused_input", "/inputs/n")] if is_told else [])


@pytest.mark.parametrize(
    ("one", "other", "is_told"),
    [
        ("input.kind == 'x'", "input.kind == 'y'", True),
        ("input.kind == 'x'", "{{ inputs.kind != 'x' }}", True),
        ("input.kind == 'x'", "input.kind != 'y'", False),
        ("input.kind in ['x', 'y']", "input.kind == 'y'", False),
        ("input.n > 5", "input.n <= 5", True),
        ("input.n > 5", "input.n < 5", False),
        ("input.n == 5", "input.n == 6", True),
        ("input.n == 5", "input.n == 5.0", False),
        ("input.flag", "not input.flag", True),
        ("input.flag and input.n > 5", "not inputs.flag", True),
        ("input.flag", "input.flag", False),
        # What steps give may change between the two.
        ("a.success", "not a.success", False),
        ("input.flag", None, False),
    ],
)
def test_a_join_of_edges_that_exclude_each_other_is_told(
    one: str, other: str | None, is_told: bool
) -> None:
    def codes(document: dict[str, Any]) -> list[tuple[str, str]]:
        return [x for x in told(document) if x[0] == "never_joins"]

    joining = {"id": "j", "component": "c", "join": {"n": 2}}
    to = [{"source": "a", "target": "j", "condition": one}]
    to.append({"source": "b", "target": "j", **({"condition": other} if other else {})})
    expected = [("never_joins", "/steps/2/join/n")] if is_told else []
    assert codes(steps(A, B, joining, connections=to)) == expected
    merging = {**joining, "join": "all"}
    assert codes(steps(A, B, merging, connections=to)) == []
    if "a." not in one:
        first, second = {**A, "condition": one}, {**B, "condition": other or True}
        joining["depends_on"] = ["a", "b"]
        assert codes(steps(first, second, joining)) == expected
        session = ValidationSession()
        for condition in ("{{ true }}", one, "input.other"):
            document = steps({**first, "condition": condition}, second, joining)
            assert session.check(document).problems == validate(document).problems


@pytest.mark.parametrize("items", [[], {}, "{{ [] }}"])
def test_a_foreach_without_items_is_told(items: Any) -> None:
    document = steps({**A, "foreach": items}, {**B, "foreach": "{{ [1] }}"})
    assert told(document) == [("never_runs", "/steps/0/foreach")]


def test_a_declared_output_that_nothing_sets_is_told() -> None:
    sets = {**A, "outputs": {"o": "workflow.set"}}
    outputs = {"set": {}, "given": {"source": "{{a.output}}"}, "none": {}}
    assert told(steps(sets, outputs=outputs)) == [("unset_output", "/outputs/none")]
    assert told(steps(sets, outputs=outputs, output="{{a.output}}")) == []


@pytest.mark.parametrize(
    ("output", "is_told"),
    [
        ("{{a.o}}", False),
        ("{{a.outputs.o}}", False),
        ("{{steps.a.o}}", False),
        ("{{a}}", False),
        ("{{a.outputs}}", False),
        ("{{steps[workflow.id]}}", False),
        ("{{a.output}}", True),
        ("{{a.success}}", True),
    ],
)
def test_an_output_that_nothing_refers_to_is_told(output: str, is_told: bool) -> None:
    step = {**A, "outputs": {"o": "{{result}}", "p": "workflow.p"}}
    expected = [("unused_output", "/steps/0/outputs/o")] if is_told else []
    assert told(steps(step, output=output)) == expected
    assert told(steps(step)) == []


@pytest.mark.parametrize(
    ("inputs", "pointer"),
    [
        ({"api_key": "abc"}, "/steps/0/inputs/api_key"),
        (
            {"headers": {"Authorization": "Bearer x"}},
            "/steps/0/inputs/headers/Authorization",
        ),
        ({"x": ["AKIAABCDEFGHIJKLMNOP"]}, "/steps/0/inputs/x/0"),
        ({"api_key": "{{secrets.KEY}}", "max_tokens": 5, "token": "next"}, None),
    ],
)
def test_a_secret_in_the_document_is_told(inputs: Any, pointer: str | None) -> None:
    expected = [("exposed_secret", pointer)] if pointer else []
    assert told(steps({**A, "inputs": inputs})) == expected


def test_a_secret_that_is_given_as_an_input_of_the_run_is_told() -> None:
    document = steps(
        {**A, "inputs": {"x": "{{input.db_password}}"}},
        inputs={"db_password": {"type": "string"}},
    )
    assert told(document) == [("exposed_secret", "/inputs/db_password")]


KEY = "sk-abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ({"inputs": {"x": f"Bearer {KEY} {{{{workflow.id}}}}"}}, "inputs/x"),
        ({"inputs": {"url": "https://ann:s3cret@example.com"}}, "inputs/url"),
        ({"inputs": {"url": "https://ann:{{secrets.P}}@example.com"}}, None),
        ({"inputs": {"url": "https://example.com/a?b=1&api_key=abcd1234"}}, "inputs/url"),
        ({"inputs": {"url": "https://example.com/?token={{secrets.T}}"}}, None),
        ({"foreach": [{"password": "x"}]}, "foreach/0/password"),
        ({"on_error": [{"then": "continue", "output": {"password": "x"}}]}, "on_error/0/output/password"),
        ({"condition": f"{{{{ workflow.id == '{KEY}' }}}}"}, "condition"),
        ({"outputs": {"password": "pw"}}, None),
        ({"outputs": {"o": f"{{{{ '{KEY}' }}}}"}}, "outputs/o"),
        ({"metadata": {"api_key": "x"}}, "metadata/api_key"),
    ],
)  # fmt: skip
def test_a_secret_is_told_wherever_it_would_be_recorded(
    options: dict[str, Any], pointer: str | None
) -> None:
    expected = [("exposed_secret", f"/steps/0/{pointer}")] if pointer else []
    assert told(steps({**A, **options})) == expected


def test_a_secret_is_told_in_what_a_document_gives() -> None:
    inputs = {"x": {"type": "object", "default": {"password": "x"}}}
    document = steps({**A, "inputs": {"x": "{{input.x}}"}}, inputs=inputs)
    assert told(document) == [("exposed_secret", "/inputs/x/default/password")]
    given = steps(A, output={"password": "x", "id": "{{a.output}}"})
    assert told(given) == [("exposed_secret", "/output/password")]
    end = {"id": "e", "terminate": {"status": "success", "output": {"password": "x"}}}
    assert told(steps(end)) == [
        ("exposed_secret", "/steps/0/terminate/output/password")
    ]


class Deprecating:
    def find(self, reference: str) -> ComponentSpec | None:
        metadata = {"deprecated": "it is slow", "instead": "d"}
        return ComponentSpec(reference, metadata=metadata if reference == "c" else {})

    def names(self) -> list[str]:
        return ["c", "d"]


def test_a_component_that_is_to_be_used_no_more_is_told() -> None:
    step = {**A, "compensate": "c"}
    [first, _] = validate(steps(step), Deprecating()).problems
    assert (first.code, first.suggestion) == ("deprecated_component", "use 'd'")
    assert first.message == "component 'c' is deprecated: it is slow"
    assert told(steps({"id": "a", "component": "d"}), Deprecating()) == []


def test_findings_of_a_session_are_those_of_a_check_from_scratch() -> None:
    document = steps({**A, "outputs": {"o": "{{result}}"}}, B, output="{{a.o}}")
    session = ValidationSession()
    assert session.check(document).problems == ()
    document["output"] = "{{b.output}}"
    assert session.check(document) == validate(document)
    document["steps"][1] = {"id": "b", "terminate": "success"}
    document["steps"].append({"id": "d", "component": "c"})
    assert session.check(document) == validate(document)


def severities(report: Report) -> dict[str, str]:
    return {problem.code: problem.severity for problem in report.problems}


def test_modes_say_what_is_an_error() -> None:
    class Empty(Deprecating):
        def find(self, reference: str) -> None:
            return None

    document = steps({**A, "condition": "false"}, inputs=COUNT)
    report = validate(document, Empty())
    unknown, never, unused = "unknown_component", "never_runs", "unused_input"
    assert severities(report) == {unknown: "error", never: "warning"}
    assert severities(in_mode(report, "permissive")) == {
        unknown: "warning",
        never: "warning",
    }
    report = validate(document)
    assert severities(report) == {never: "warning", unused: "warning"}
    assert in_mode(report, "normal").valid
    assert severities(in_mode(report, "strict")) == {never: "error", unused: "error"}
    assert severities(in_mode(report, "permissive")) == {never: "warning"}
    session = ValidationSession(mode="strict")
    assert session.check(document) == in_mode(report, "strict")
