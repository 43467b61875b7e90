"""What a reference gives: one rule for all of its forms, and messages that say what is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from openagents_json.testing import Play
from openagents_json.workflow.expressions.grammar import FILTERS, METHODS, TESTS
from openagents_json.workflow.language.validate import validate
from tests.simulation import Simulation, plan_of, steps

REFERENCE = Path(__file__).parents[3] / "docs/reference/workflow.md"


def seen(expression: str, a: dict[str, Any], outcome: str, output: Any = None) -> Any:
    """Return what a step sees of step `a`, or why the run failed."""
    document = steps(
        {"id": "z"},
        {"id": "a", **a},
        {"id": "b", "inputs": {"k": expression}},
        execution="graph",
    )
    document["steps"][2]["depends_on"] = ["z", "a"]
    run = Simulation(plan_of(document))
    run.start()
    run.complete("z")
    if outcome == "fail":
        run.fail("a")
    elif outcome == "complete":
        run.complete("a", output)
    step = run.state.steps.get("b")
    if step is not None and step.status == "scheduled":
        return step.inputs["k"]
    assert run.state.error is not None
    return f"failed: {run.state.error['message'].partition(': ')[2]}"


def handled(output: Any = None) -> dict[str, Any]:
    return {"on_error": [{"then": "continue", "output": output}]}


FORMS = [
    "{{a.v}}",
    "{{a.output.v}}",
    "{{a.outputs.v}}",
    "{{steps.a.v}}",
    "{{steps['a'].output['v']}}",
    "${steps.a.output.v}",
]
FORMS += ["{{(a).v}}", "{{(a.output).v}}"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("a", "outcome"),
    [({"condition": "{{false}}"}, "skip"), (handled(), "fail")],
    ids=["skipped", "failed"],
)
def test_a_step_without_a_result_is_null_in_all_forms(
    form: str, a: dict[str, Any], outcome: str
) -> None:
    assert seen(form, a, outcome) is None
    inner = (
        form.removeprefix("{{").removeprefix("${").removesuffix("}").removesuffix("}")
    )
    assert seen(f"{{{{{inner}.w[0].x}}}}", a, outcome) is None
    assert seen(f"{{{{{inner}.get('w')}}}}", a, outcome) is None
    assert seen(f"{{{{{inner} | default(3)}}}}", a, outcome) == 3
    assert seen(f"{{{{{inner} or 3}}}}", a, outcome) == 3
    assert seen(f"{{{{{inner} is none}}}}", a, outcome) is True
    assert seen(f"-{{{{{inner}}}}}-", a, outcome) == "--"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("outcome", ["complete", "fail"])
def test_what_a_handler_gives_stands_in_the_place_of_the_result(
    form: str, outcome: str
) -> None:
    assert seen(form, handled({"v": 1}), outcome, {"v": 1}) == 1
    assert "there is no 'v' (there are: w" in seen(
        form, handled({"w": 1}), outcome, {"w": 1}
    )


@pytest.mark.parametrize(
    "transform", ["{{value.v}}", "{{source.v.w}}", "{{value}}", "{{a.output.v}}", None]
)
def test_what_a_connection_carries_follows_the_same_rule(transform: str | None) -> None:
    connection = {
        "source": "a.output",
        "target": "b.k",
        **({"transform": transform} if transform else {}),
    }
    run = Simulation(
        plan_of(steps({"id": "a", **handled()}, {"id": "b"}, connections=[connection]))
    )
    run.start()
    run.fail("a")
    assert run.state.steps["b"].inputs == {"k": None}


def test_a_whole_step_without_a_result_is_seen_too() -> None:
    whole = seen("{{a}}", {"condition": "{{false}}"}, "skip")
    assert whole == {
        **{"attempts": 0, "error": None, "output": None, "outputs": None},
        **{"status": "skipped", "success": False},
    }


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("a.output.get('n').v", "null has no 'v'"),
        ("a.output.get('o').v", "there is no 'v' (there are: q)"),
        ("a.output.items().v", "array has no 'v'"),
        ("a.output.l.v", "array has no 'v'"),
        ("(a.output.l | first).v", "integer has no 'v'"),
        ("a.output.l[7]", "there is no element 7 (there are: 2)"),
        ("(a.output.l)[7]", "there is no element 7 (there are: 2)"),
        ("a.output.keys()[7]", "there is no element 7 (there are: 3)"),
        ("a.output.t.upper", "upper is a method of strings: write upper()"),
        (
            "a.output.t.nope()",
            "string has no 'nope'; methods of strings are capitalize, count, ",
        ),
        (
            "a.output.nope()",
            "there is no 'nope' (there are: l, o, t); methods of strings are ",
        ),
        (
            "a.nope",
            "there is no 'nope' (there are: l, o, t, attempts, error, output, outputs, status, success)",
        ),
    ],
)
def test_a_missing_member_names_what_is_there(expression: str, reason: str) -> None:
    output = {"o": {"q": 1}, "l": [1, 2], "t": "x"}
    assert reason in seen(f"{{{{{expression}}}}}", {}, "complete", output)


def test_the_reference_lists_what_expressions_have() -> None:
    text = REFERENCE.read_text()
    for title, names in (
        ("Filters", frozenset(FILTERS)),
        ("Tests", frozenset(name for name in TESTS if name.isalpha())),
        ("Methods", METHODS),
    ):
        [listed] = re.findall(rf"^{title}: (.*?)\.$", text, re.MULTILINE | re.DOTALL)
        assert sorted(re.findall(r"`(\w+)`", listed)) == sorted(names), title


def codes(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem.code, problem.pointer) for problem in validate(document).problems]


@pytest.mark.parametrize(
    ("n", "problems"), [(2, []), (3, [("impossible_join", "/steps/2/join/n")])]
)
def test_a_join_of_more_than_there_are_is_refused(n: int, problems: list[Any]) -> None:
    joined = {"id": "c", "depends_on": ["a", "b"], "join": {"n": n}}
    assert codes(steps({"id": "a"}, {"id": "b"}, joined)) == problems
    inner = [{"component": "c", **step} for step in ({"id": "a"}, {"id": "b"}, joined)]
    assert len(codes({"id": "w", "steps": [{"id": "box", "steps": inner}]})) == len(
        problems
    )


def test_a_reference_that_lets_a_step_begin_by_itself_is_told() -> None:
    a, b, c = {"id": "a"}, {"id": "b"}, {"id": "c", "inputs": {"k": "{{a.output}}"}}
    guarded = [
        {"source": "b", "target": "c", "condition": "{{value.ok}}"},
        {"source": "a", "target": "b"},
    ]
    warned = [("reference_is_edge", "/steps/2/inputs/k")]
    assert codes(steps(a, b, c, connections=guarded)) == warned
    assert codes(steps(a, b, {**c, "condition": "{{b.ok}}"}, connections=guarded)) == []
    assert codes(steps(a, b, {**c, "depends_on": ["a"]}, connections=guarded)) == []
    assert (
        codes(steps(a, b, {**c, "inputs": {"k": "{{b.output}}"}}, connections=guarded))
        == []
    )
    handler = [{"then": {"goto": "c"}}]
    assert (
        codes(steps(a, {"id": "b", "on_error": handler}, c, execution="graph"))
        == warned
    )
    run = Simulation(plan_of(steps(a, b, c, connections=guarded)))
    run.start()
    run.complete("a")
    run.complete("b", {"ok": False})
    assert run.state.steps["c"].status == "scheduled"


@pytest.mark.parametrize(
    ("step", "expression", "value"),
    [
        ("1", "{{ 1 + 1 }}", 2),
        ("1", "{{1}}", 1),
        ("1", "{{ 1.5 * 2 }}", 3.0),
        ("1", "{{ [4, 5][1] }}", 5),
        ("1", "{{ 1.output + 1 }}", 8),
        ("1", "{{ 1['output'] + 1 }}", 8),
        ("1e3", "{{ 1e3 + 1e3.output }}", 1007.0),
        ("not", "{{ none is not none }}", False),
        ("not", "{{ not not.success }}", False),
        ("in", "{{ 7 in [in.output] }}", True),
        ("if", "{{ 1 if if.success else 2 }}", 1),
        ("true", "{{true}}", True),
        ("none", "{{ none.output is none }}", False),
        ("a-b", "{{ a-b.output + step_0_.output }}", 14),
        ("a-b", "{{ steps.a-b.output + 1 }}", 8),
        ("1", "{{steps.1.output}}", 7),
        ("1", "{{ steps.1.output + steps[1].output }}", 14),
        ("1", "{{steps[1].output}}", 7),
        ("1e3", "${steps.1e3.output}", 7),
        ("x", "{{ input.first-name + inputs.2.1 + input['2'][1] }}", "Adabb"),
    ],
)
def test_steps_may_be_called_as_numbers_and_words_of_the_grammar(
    step: str, expression: str, value: Any
) -> None:
    ids = {step: None, "step_0_": None}
    called = [{"id": name, "component": "seven"} for name in ids]
    last = {"id": "last", "component": "same", "inputs": {"value": expression}}
    inputs = {"first-name": {"type": "string"}, "2": {"type": "object"}}
    document = {
        "id": "w",
        "inputs": inputs,
        "steps": [*called, last],
        "output": "{{last.output}}",
    }
    stand_ins = {"seven": 7, "same": lambda value: value}
    given = {"first-name": "Ada", "2": {"1": "b"}}
    run = Play(document, given, components=stand_ins).finish()
    assert (run.status, run.output) == ("completed", value)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("{{ a.output + 1 }}", "+: 'object' and 'integer'"),
        ("{{ steps + 1.5 }}", "+: 'object' and 'number'"),
        ("{{ none + 'text' }}", "+: 'null' and 'string'"),
        ("{{ [1] < true }}", "instances of 'array' and 'boolean'"),
    ],
)
def test_an_operator_that_does_not_fit_is_told_in_the_types_of_json(
    expression: str, reason: str
) -> None:
    last = {
        "id": "b",
        "component": "same",
        "inputs": {"value": expression},
        "depends_on": ["a"],
    }
    document = {"id": "w", "steps": [{"id": "a", "component": "some"}, last]}
    stand_ins = {"some": {"x": 1}, "same": lambda value: value}
    run = Play(document, components=stand_ins).finish()
    assert reason in (run.error or {})["message"]
