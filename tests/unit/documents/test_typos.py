"""A misspelt key or option is told with what was meant, instead of being passed over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openagents_json import Registry, agent, asset, capability, tool
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.models import WorkflowDocument
from openagents_json.workflow.language.validate import validate
from tests.simulation import plan_of

EXAMPLES = Path(__file__).parents[3] / "examples"
STEP = {"id": "a", "component": "c"}


def doc(step: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "w", "steps": [{**STEP, **(step or {})}], **more}


def kind(**step: Any) -> dict[str, Any]:
    return {"id": "w", "steps": [{"id": "a", **step}]}


@pytest.mark.parametrize(
    ("document", "pointer", "meant"),
    [
        (doc({"retry": {"max_retrys": 3}}), "retry/max_retrys", "max_retries"),
        (
            doc({"retry": {"max_elapsed": 3}}),
            "retry/max_elapsed",
            "max_elapsed_seconds",
        ),
        (
            doc({"timeouts": {"start_to_closed": 3}}),
            "timeouts/start_to_closed",
            "start_to_close",
        ),
        (
            doc({"rate_limit": {"limit": 3, "per_second": 1}}),
            "rate_limit/per_second",
            "per_seconds",
        ),
        (doc({"mutex": {"key": "x", "limits": 1}}), "mutex/limits", "limit"),
        (
            doc({"join": {"n": 1, "cancel_rests": True}}),
            "join/cancel_rests",
            "cancel_rest",
        ),
        (
            doc({"foreach": "{{[1]}}", "enough": {"n": 1, "cancelrest": True}}),
            "enough/cancelrest",
            "cancel_rest",
        ),
        (
            doc({"on_error": [{"then": "continue", "outptu": 1}]}),
            "on_error/0/outptu",
            "output",
        ),
        (
            doc({"on_error": [{"then": {"goto": "a", "go_to": "b"}}]}),
            "on_error/0/then/go_to",
            "goto",
        ),
        (
            doc({"compensate": {"component": "c", "input": {}}}),
            "compensate/input",
            "inputs",
        ),
        (
            doc({"compensate": {"component": "c", "retry": {"delay": 1, "jiter": 1}}}),
            "compensate/retry/jiter",
            "jitter",
        ),
        (kind(wait_for={"signal": "s", "time_out": 3}), "wait_for/time_out", "timeout"),
        (
            kind(wait_for={"any": ["s", {"signal": "t", "keys": "k"}]}),
            "wait_for/any/1/keys",
            "key",
        ),
        (
            kind(wait_for={"any": ["s", {"signl": "t"}]}),
            "wait_for/any/1/signl",
            "signal",
        ),
        (
            kind(wait_for={"any": ["s", {"second": 3}]}),
            "wait_for/any/1/second",
            "seconds",
        ),
        (kind(sleep={"minute": 3}), "sleep/minute", "minutes"),
        (
            kind(terminate={"status": "success", "outputs": 1}),
            "terminate/outputs",
            "output",
        ),
        (
            kind(
                loop={
                    "max_iterations": 3,
                    "untill": "{{true}}",
                    "steps": [STEP | {"id": "b"}],
                }
            ),
            "loop/untill",
            "until",
        ),
        (
            kind(steps=[{"id": "b", "component": "c", "retry": {"jiter": 1}}]),
            "steps/0/retry/jiter",
            "jitter",
        ),
    ],
)
def test_a_key_below_a_step_is_an_error(
    document: dict[str, Any], pointer: str, meant: str
) -> None:
    problems = [p for p in validate(document).errors if p.code == "unknown_key"]
    assert [(p.pointer, p.suggestion) for p in problems if meant in p.suggestion] == [
        (f"/steps/0/{pointer}", f"did you mean {meant!r}?")
    ]


@pytest.mark.parametrize(
    ("more", "pointer", "meant"),
    [
        (
            {"concurrency": {"limit": 1, "on_limits": "queue"}},
            "/concurrency/on_limits",
            "on_limit",
        ),
        ({"debounce": {"seconds": 1, "keys": "k"}}, "/debounce/keys", "key"),
        (
            {"persistence": {"mode": "step", "every_step": 1}},
            "/persistence/every_step",
            "every_steps",
        ),
        (
            {"inputs": {"x": {"type": "string", "requird": True}}},
            "/inputs/x/requird",
            "required",
        ),
        ({"outputs": {"x": {"sourc": "{{a.output}}"}}}, "/outputs/x/sourc", "source"),
        (
            {"on_failure": {"component": "c", "input": {}}},
            "/on_failure/input",
            "inputs",
        ),
        (
            {"on_failure": {"steps": [STEP | {"id": "b"}], "excution": "graph"}},
            "/on_failure/excution",
            "execution",
        ),
        (
            {"on_failure": [{"id": "b", "component": "c", "retry": {"jiter": 1}}]},
            "/on_failure/0/retry/jiter",
            "jitter",
        ),
    ],
)
def test_a_key_below_the_document_is_an_error(
    more: dict[str, Any], pointer: str, meant: str
) -> None:
    problems = validate(doc(**more)).errors
    assert [(p.code, p.pointer, p.suggestion) for p in problems] == [
        ("unknown_key", pointer, f"did you mean {meant!r}?")
    ]


@pytest.mark.parametrize(
    "value", [None, True, 3, 1.5, "text", [], [1], {}, [[{}]], {"steps": 3}]
)
def test_any_shape_of_a_value_is_looked_at(value: Any) -> None:
    keys = [
        "sleep",
        "wait_for",
        "loop",
        "retry",
        "join",
        "mutex",
        "on_error",
        "compensate",
        "terminate",
        "steps",
        "enough",
    ]
    for key in keys:
        validate(doc({key: value}))
    for key in (
        "concurrency",
        "debounce",
        "persistence",
        "on_failure",
        "inputs",
        "connections",
        "steps",
    ):
        validate(doc(**{key: value}))


@pytest.mark.parametrize(
    "path", sorted(EXAMPLES.rglob("*.json")), ids=lambda path: path.stem
)
def test_the_examples_have_no_problems(path: Path) -> None:
    text = path.read_text()
    if '"steps"' in text:
        assert validate(text).problems == ()


def test_what_anybody_may_add_stays_allowed() -> None:
    step = {
        "inputs": {"anything": {"goes": 1}},
        "metadata": {"mine": {"retry": {"x": 1}}},
        "state": {"isolation": "step", "mine": 1},
        "retry": {
            "max_retries": 1,
            "description": "why",
            "x-mine": 1,
            "$comment": "as JSON Schema has it",
        },
        "on_failure_note": "an unknown key of a step",
    }
    more = {
        "state_dependencies": {"persistence": "none", "mine": 1},
        "metadata": {"custom": {"x": 1}},
        "extra": 1,
    }
    report = validate(doc(step, **more))
    assert report.valid
    assert [(p.code, p.severity, p.pointer) for p in report.problems] == [
        ("unknown_key", "warning", "/extra"),
        ("unknown_key", "warning", "/steps/0/on_failure_note"),
    ]


@pytest.mark.parametrize(
    "decorator", [agent, capability, tool, asset, Registry().tool, Registry().agent]
)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"efect": "pure"}, "no option 'efect'; did you mean 'effect'"),
        ({"category": "x"}, "no option 'category'.*metadata="),
        ({"effect": "at-most-once"}, "did you mean 'at_most_once'"),
        ({"effect": "exactly_once"}, "is no effect; there are at_most_once, "),
        ({"timeout": "5"}, "no time in seconds"),
        ({"timeout": -1}, "no time in seconds"),
        ({"lost_limit": 1.5}, "no number of lost workers"),
        ({"tags": "one"}, "no list of texts"),
        ({"queue": 5}, "is no text"),
        ({"metadata": ["x"]}, "is no mapping"),
    ],
)
def test_options_of_decorators_are_looked_at(
    decorator: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDeclaration, match=message):
        decorator("name", **options)(lambda: 1)


def test_what_is_ones_own_goes_under_metadata() -> None:
    components = Registry()

    @components.agent(
        "robot", metadata={"team": "a"}, config={"arms": 2}, shared=True, tags=["metal"]
    )
    class Robot:
        def __init__(self, config: dict[str, int] | None = None) -> None:
            self.config = config

        @capability(effect="pure", metadata={"cost": 3})
        def wave(self) -> Any:
            return self.config

    spec = components.find("robot.wave")
    assert spec is not None
    assert (spec.effect, spec.tags, spec.metadata["team"], spec.metadata["cost"]) == (
        "pure",
        ("metal",),
        "a",
        3,
    )


def test_the_old_word_for_retries_is_commented_on_and_both_words_are_an_error() -> None:
    old = validate(doc({"retry": {"max_attempts": 2}}))
    assert [(p.code, p.severity, p.pointer) for p in old.problems] == [
        ("deprecated_key", "warning", "/steps/0/retry/max_attempts")
    ]
    undo = validate(
        doc({"compensate": {"component": "c", "retry": {"max_attempts": 2}}})
    )
    assert [(p.code, p.pointer) for p in undo.problems] == [
        ("deprecated_key", "/steps/0/compensate/retry/max_attempts")
    ]
    assert validate(doc({"retry": {"max_retries": 2}})).problems == ()
    assert validate(doc({"inputs": {"retry": {"max_attempts": 2}}})).problems == ()
    both = validate(doc({"retry": {"max_retries": 2, "max_attempts": 2}}))
    assert [p.code for p in both.errors] == ["conflicting_keys"]


def test_both_words_for_retries_mean_the_same_and_old_documents_keep_their_name() -> (
    None
):
    old, new = (
        plan_of(doc({"retry": {word: 2, "delay_seconds": 0}}))
        for word in ("max_attempts", "max_retries")
    )
    assert old.steps["a"].retry == new.steps["a"].retry
    assert old.steps["a"].retry.max_retries == 2
    assert (
        old.hash == "33d9e958f67ae6d2f1a0ec0b8a6402c9659f9bd6cdfee683f05c18d340ddce4d"
    )  # as 0.2.0 stored it


def test_programs_may_write_both_words_and_get_the_number_under_the_new_one() -> None:
    for word in ("max_attempts", "max_retries"):
        document = doc({"retry": {word: 2}})
        model = WorkflowDocument.model_validate(document)
        assert model.document == document
        assert model.steps[0].retry.max_retries == 2
    with pytest.warns(DeprecationWarning, match="say max_retries"):
        assert model.steps[0].retry.max_attempts == 3
