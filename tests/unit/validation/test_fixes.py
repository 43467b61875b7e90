"""Suggestions that are carried out: what is surely meant is written, and nothing else of the text changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.engine.validation.files import fix_file
from openagents_json.workflow.component_spec import ComponentSpec, Parameter
from openagents_json.workflow.language.parse import Source, read_source
from openagents_json.workflow.language.validate import check
from openagents_json.workflow.language.yaml_text.read import read_yaml
from openagents_json.workflow.validation.fixing.apply import carry_out

JSON = """\
{
  "id": "w",   "inputs": {"document": {"type": "string"}},

  "steps": [
    {"id": "extract", "component": "reader", "inputs": {"file" :"{{input.document}}"},
     "retry": {"max_retries": 1}},
    {"id": "analyse", "component": "analyser",
     "inputs": {"text": "extract says: {{ extract.output }} \\u00e9"}, "timeout": 5}
  ],
  "output": "{{analyse.output}}"
}
"""
YAML = """\
# what it is for
id: w
inputs: {document: {type: string}}   # one input
steps:
  - id: extract
    component: "reader"
    inputs:
      file: '{{input.document}}'
    retry: {max_retries: 1}

  - id: analyse
    component: analyser  # slow
    inputs:
      text: "extract says: {{ extract.output }}"
    timeout: 5
output: "{{analyse.output}}"
"""


class Components:
    def find(self, reference: str) -> ComponentSpec | None:
        if reference == "reader":
            return ComponentSpec("reader", inputs=(Parameter("file"),))
        if reference == "analyser":
            return ComponentSpec("analyser", inputs=(Parameter("text"),))
        if reference == "lector":
            instead = {"deprecated": "it is slow", "instead": "reader"}
            return ComponentSpec("lector", metadata=instead)
        return None

    def names(self) -> list[str]:
        return ["reader", "analyser", "lector"]


def source_of(text: str, is_yaml: bool) -> Source:
    return read_yaml(text) if is_yaml else read_source(text)


def mended(text: str, *, is_yaml: bool) -> str:
    for _ in range(3):
        report = check(source_of(text, is_yaml), Components()).report
        text = carry_out(text, report.problems, is_yaml=is_yaml).text
    return text


SLIPS = [
    ("{{ extract.output", "{{ extrcat.output"),
    ("{{input.document}}", "{{input.documnt}}"),
    ("{{analyse.output}}", "{{analyze.output}}"),
    ("timeout", "timeuot"),
    ("max_retries", "max_attempts"),
    ("max_retries", "max_retris"),
    ("file", "fiel"),
    ("analyser", "analyserr"),
    ("reader", "lector"),
    ("string", "strng"),
]


@pytest.mark.parametrize(("text", "is_yaml"), [(JSON, False), (YAML, True)])
@pytest.mark.parametrize(("word", "slip"), SLIPS)
def test_what_is_surely_meant_is_written_and_all_else_stays(
    text: str, is_yaml: bool, word: str, slip: str
) -> None:
    assert check(source_of(text, is_yaml), Components()).report.problems == ()
    slipped = text.replace(word, slip, 1)
    assert slipped != text
    assert mended(slipped, is_yaml=is_yaml) == text


def test_several_slips_are_mended_at_once() -> None:
    slipped = JSON
    for word, slip in SLIPS[:5]:
        slipped = slipped.replace(word, slip, 1)
    assert mended(slipped, is_yaml=False) == JSON


@pytest.mark.parametrize(
    ("word", "slip"),
    [
        ("{{ extract.output", "{{ summary.output"),
        ('"id": "analyse"', '"id": "extract2"'),
        ("{{input.document}}", "{{input.doc}}"),
        ('"timeout": 5', '"timeout": 5, "timeuot": 6'),
    ],
)
def test_what_is_not_sure_stays(word: str, slip: str) -> None:
    slipped = JSON.replace(word, slip, 1)
    assert mended(slipped, is_yaml=False) == slipped


def codes(document: Any) -> list[tuple[str, bool]]:
    problems = check(document).report.problems
    return [(problem.code, problem.fix is not None) for problem in problems]


def test_words_that_differ_in_a_number_are_different_words() -> None:
    steps = [{"id": "step1", "component": "c"}, {"id": "step2", "component": "c"}]
    document = {"id": "w", "steps": steps, "output": "{{step3.output}}"}
    assert codes(document) == [("missing_referenced_step", False)]


def test_an_alias_in_yaml_is_not_changed_where_it_is_used() -> None:
    text = (
        "id: w\nsteps:\n  - {id: a, component: &c strict}\n  - {id: b, component: *c}\n"
    )
    assert mended(text, is_yaml=True) == text


def test_what_would_change_something_else_too_is_not_written() -> None:
    steps = "[{id: a, component: &c readr}, {id: b, component: *c}]"
    text = f"id: w\nsteps: {steps}\n"
    assert mended(text, is_yaml=True) == text


def test_a_file_that_is_saved_meanwhile_is_left_as_it_was_saved(
    tmp_path: Path,
) -> None:
    path = tmp_path / "w.json"
    path.write_text(JSON.replace("analyser", "analyserr"))

    class WhileSaved(Components):
        def find(self, reference: str) -> ComponentSpec | None:
            path.write_text(JSON)
            return super().find(reference)

    with pytest.raises(DocumentUnreadable, match="changed in the meantime"):
        fix_file(path, WhileSaved())
    assert path.read_text() == JSON
    assert os.listdir(tmp_path) == ["w.json"]


def test_a_byte_order_mark_stays(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(JSON.replace("analyser", "analyserr"), encoding="utf-8-sig")
    assert fix_file(path, Components()).fixed
    assert path.read_bytes() == JSON.encode("utf-8-sig")
