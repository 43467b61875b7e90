"""What a step is given by the run of another workflow, and what it gives to one, where that document is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.registry import Registry
from openagents_json.engine.documents import find_problems
from openagents_json.engine.validation.document_files import DocumentFiles
from openagents_json.engine.validation.document_set import DocumentSet
from openagents_json.engine.validation.files import mended
from openagents_json.workflow.language.problems import Problem
from openagents_json.workflow.validation.session import ValidationSession

OF_TYPES = ("cannot_fit", "may_not_fit")


def number() -> int:
    raise NotImplementedError


def text() -> str:
    raise NotImplementedError


def add(n: int, maybe: int | None = None, lines: list[str] | None = None) -> int:
    raise NotImplementedError


DECLARED: dict[str, Any] = {
    "id": "declared",
    "version": "1.2.0",
    "inputs": {"k": {"type": "integer", "required": True}},
    "steps": [{"id": "t", "component": "text"}, {"id": "n", "component": "number"}],
    "outputs": {
        "label": {"type": "string", "source": "{{t.output}}"},
        "count": {"source": "{{n.output}}"},
    },
}
WRITTEN: dict[str, Any] = {
    "id": "written",
    "steps": [{"id": "t", "component": "text"}],
    "output": {"text": "{{t.output}}", "all": [1, 2]},
}
ENDING: dict[str, Any] = {
    **WRITTEN,
    "id": "ending",
    "steps": [*WRITTEN["steps"], {"id": "end", "terminate": {"output": 1}}],
}
LAST: dict[str, Any] = {"id": "last", "steps": [{"id": "t", "component": "text"}]}
CALLER: dict[str, Any] = {
    "id": "caller",
    "steps": [{"id": "d", "workflow": "declared", "inputs": {"k": 1}}],
    "output": "{{d.output.label}}",
}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> DocumentSet:
    registry = Registry()
    for function in (number, text, add):
        registry.tool(function)
    folder = tmp_path_factory.mktemp("documents")
    for document in (DECLARED, WRITTEN, ENDING, LAST, CALLER):
        (folder / f"{document['id']}.json").write_text(json.dumps(document))
    (folder / "broken.json").write_text("{")
    (folder / "list.json").write_text("[1]")
    files = DocumentFiles.named([*sorted(folder.iterdir()), Path("nowhere.json")])
    return DocumentSet(registry, files)


def document(value: Any, name: str = "n", **call: Any) -> dict[str, Any]:
    """Return a document that gives a value to a component, beside calls of each of the others."""
    steps = [
        {"id": "d", "workflow": "declared@^1", "inputs": {"k": 1}, **call},
        {"id": "w", "workflow": "written"},
        {"id": "e", "workflow": "ending"},
        {"id": "l", "workflow": "last"},
        {"id": "c", "workflow": "caller"},
        {"id": "own", "workflow": "w"},
        {"id": "none", "workflow": "unknown"},
        {"id": "old", "workflow": "declared@^2"},
        {"id": "s", "component": "add", "inputs": {"n": 1, name: value}},
    ]
    return {"id": "w", "steps": steps}


def misfits(value: Any, catalog: Any, mode: Any = "normal") -> list[Problem]:
    report = find_problems(value, catalog, mode)
    return [problem for problem in report.problems if problem.code in OF_TYPES]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{{d.output.label}}", "is a string or null; 'n' of add@0.1.0 takes an int"),
        ("{{d.output}}", "is an object"),
        ("{{w.output.text}}", "is a string"),
        ("{{w.output.all}}", "is an array"),
        ("{{w.output}}", "is an object"),
        ("{{l.output}}", "is an object"),
    ],
)
def test_what_the_run_of_another_workflow_gives_is_compared(
    catalog: DocumentSet, value: str, words: str
) -> None:
    [problem] = misfits(document(value), catalog)
    assert (problem.code, problem.severity) == ("cannot_fit", "warning")
    assert words in problem.message


@pytest.mark.parametrize(
    "value",
    [
        "{{d.output.count}}",
        "{{w.output.all[0]}}",
        "{{d.output.set_by_a_step}}",
        "{{e.output}}",
        "{{c.output}}",
        "{{own.output}}",
        "{{none.output}}",
        "{{old.output}}",
        "{{l.output.t.more}}",
    ],
)
def test_what_is_not_sure_is_no_finding(catalog: DocumentSet, value: str) -> None:
    assert misfits(document(value), catalog) == []


def test_each_way_of_calling_gives_its_own(catalog: DocumentSet) -> None:
    [started] = misfits(document("{{d.output.run}}", detached=True), catalog)
    assert "is a string" in started.message
    assert misfits(document("{{d.output.label}}", detached=True), catalog) == []
    [each] = misfits(document("{{d.output}}", foreach=[1, 2]), catalog)
    assert "is an array or an object" in each.message
    [strict] = misfits(document("{{d.output.count}}"), catalog, "strict")
    assert strict.message.endswith("so null would be refused")


def test_what_another_workflow_is_given_is_compared_with_its_inputs(
    catalog: DocumentSet,
) -> None:
    [problem] = misfits(document(1, inputs={"k": "{{w.output.text}}"}), catalog)
    assert problem.pointer == "/steps/0/inputs/k"
    assert "'k' of declared@^1 takes an integer" in problem.message
    [literal] = misfits(document(1, inputs={"k": "5"}), catalog)
    assert literal.suggestion == "write 5, without quotes"
    assert misfits(document(1, inputs={"k": 5, "j": []}), catalog) == []


def test_inputs_that_a_called_workflow_does_not_take_or_lacks_are_told(
    catalog: DocumentSet,
) -> None:
    def told(*calls: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
        steps = [{"id": f"s{i}", **call} for i, call in enumerate(calls)]
        report = find_problems({"id": "w", "steps": steps, **more}, catalog)
        assert report.valid
        return [(problem.code, problem.pointer) for problem in report.problems]

    call = {"workflow": "declared", "inputs": {"k": 1}}
    assert told(call, {"workflow": "written", "inputs": {"any": 1}}) == []
    wrong = {"workflow": "declared", "inputs": {"kk": 1}}
    expected = [
        ("unknown_called_input", "/steps/0/inputs/kk"),
        ("missing_called_input", "/steps/0/inputs"),
    ]
    assert told(wrong) == expected
    assert told({"workflow": "declared"}) == [
        ("missing_called_input", "/steps/0/inputs")
    ]
    inner = {"steps": [{"id": "in", "workflow": "declared"}]}
    assert told(inner) == [("missing_called_input", "/steps/0/steps/0/inputs")]
    giving = {"component": "number"}
    brings = [{"source": "s0", "target": "s1.k"}, {"source": "s0", "target": "s1.kk"}]
    assert told(giving, {"workflow": "declared"}, connections=brings) == [
        ("missing_target_input", "/connections/1/target")
    ]
    taken = {"n": {"required": True}, "given": {"required": True, "default": 1}}
    assert told({"workflow": "w", "condition": "{{ input.n }}"}, inputs=taken) == [
        ("missing_called_input", "/steps/0/inputs"),
        ("unused_input", "/inputs/given"),
    ]


def test_a_misspelt_input_of_a_called_workflow_is_mended(catalog: DocumentSet) -> None:
    steps = [{"id": "d", "workflow": "called", "inputs": {"numer": 1}}]
    text = json.dumps({"id": "w", "steps": steps})

    class Called:
        find = catalog.find
        names = catalog.names

        def workflow_document(self, reference: str) -> dict[str, Any]:
            return {"id": reference, "inputs": {"number": {}}}

    fixed = mended(text, Called(), is_yaml=False)
    assert fixed.text == text.replace("numer", "number")


def test_outputs_are_what_they_are_declared_to_be(catalog: DocumentSet) -> None:
    outputs = {"label": {"type": "integer", "source": "{{t.output}}"}}
    [problem] = misfits({**DECLARED, "outputs": outputs}, catalog)
    assert problem.pointer == "/outputs/label/source"
    assert "the output 'label' is declared as an integer or null" in problem.message
    assert misfits(DECLARED, catalog) == []


@pytest.mark.parametrize(
    ("name", "value", "is_wrong"),
    [
        ("maybe", "{{w.output}}", True),
        ("maybe", "{{w.output.all}}", True),
        ("maybe", "five", True),
        ("maybe", "5", False),
        ("maybe", "{{d.output.label}}", False),
        ("maybe", "{{d.output.count}}", False),
        ("maybe", None, False),
        ("lines", "{{w.output.text}}", True),
        ("lines", "{{w.output.all}}", True),
        ("lines", 1, True),
        ("lines", "{{unsure}}", False),
    ],
)
def test_what_need_not_be_given_is_compared_too(
    catalog: DocumentSet, name: str, value: Any, is_wrong: bool
) -> None:
    assert bool(misfits(document(value, name), catalog)) == is_wrong


def test_a_session_sees_that_another_workflow_is_called(catalog: DocumentSet) -> None:
    session = ValidationSession(catalog)
    value = document("{{d.output.label}}")
    changes: list[dict[str, Any]] = [
        {},
        {"detached": True},
        {"detached": False},
        {"workflow": "unknown"},
        {"workflow": "declared"},
    ]
    for change in changes:
        value["steps"][0].update(change)
        report = session.check(value)
        assert report.problems == find_problems(value, catalog).problems
        told = [x for x in report.problems if x.code == "cannot_fit"]
        assert bool(told) == (change in ({}, changes[2], changes[4]))
    value["id"] = "declared"
    assert session.check(value).problems == find_problems(value, catalog).problems
