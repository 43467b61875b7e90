"""Documents in YAML: what JSON means by them, or a problem that says where it is and what to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openagents_json import Workflow
from openagents_json.engine.documents import (
    document_from_text,
    find_problems,
    load_document,
)
from openagents_json.workflow.errors import DocumentUnreadable
from openagents_json.workflow.language.sizes import MAX_VALUES
from openagents_json.workflow.language.yaml_text.read import read_yaml

GREETING = """\
# A comment
id: greeting
inputs:
  name: {type: string}
steps:
  - id: say
    component: echo
    inputs:
      text: "Hello, {{input.name}}"
      times: 3
      share: 0.5
      many: 1e3
      loud: true
      nobody: null
      version: 1.2.3
      note: >-
        two lines
        in one
output: "{{say.output}}"
"""


def wrong(text: str | bytes) -> tuple[str, int, int]:
    error = read_yaml(text).wrong
    assert error is not None
    return error.problem, error.line, error.column


def test_values_are_those_that_json_has() -> None:
    source = read_yaml(GREETING)
    assert (source.wrong, source.flaws) == (None, ())
    assert source.value["steps"][0]["inputs"] == {
        "text": "Hello, {{input.name}}",
        "times": 3,
        "share": 0.5,
        "many": 1000.0,
        "loud": True,
        "nobody": None,
        "version": "1.2.3",
        "note": "two lines in one",
    }


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("yes", 'write true, or "yes" for the text'),
        ("On", 'write true, or "On" for the text'),
        ("TRUE", 'write true, or "TRUE" for the text'),
        ("no", 'write false, or "no" for the text'),
        ("n", 'write false, or "n" for the text'),
        ("~", 'write null, or "~" for the text'),
        ("Null", 'write null, or "Null" for the text'),
        ("", 'write null, or "" for an empty text'),
        ("2024-01-01", 'a date is a text: write "2024-01-01" for the text'),
        ("2024-1-1T10:00:00Z", "a date is a text"),
        ("12:30", 'a time is a text: write "12:30" for the text'),
        ("0777", "write the number as JSON has it"),
        ("0x1F", "write the number as JSON has it"),
        ("0o17", "write the number as JSON has it"),
        ("1_000", "write the number as JSON has it"),
        ("+1", "write the number as JSON has it"),
        (".5", "write the number as JSON has it"),
        ("5.", "write the number as JSON has it"),
        (".inf", "JSON has no such number"),
        ("-.INF", "JSON has no such number"),
        (".nan", "JSON has no such number"),
        ("<<", 'write "<<" for the text'),
        ("=", 'write "=" for the text'),
    ],
)
def test_a_word_that_can_be_read_in_two_ways_is_refused_with_what_to_write(
    word: str, advice: str
) -> None:
    source = read_yaml(f"id: w\nsteps:\n  - id: s\n    inputs: {{a: 1, b/c: {word}}}\n")
    [flaw] = source.flaws
    assert (flaw.code, flaw.pointer) == ("ambiguous_word", "/steps/0/inputs/b~1c")
    assert (flaw.line, flaw.text) == (4, word)
    assert advice in flaw.message
    quoted = read_yaml(f'a: "{word}"')
    assert (quoted.value, quoted.flaws) == ({"a": word}, ())


@pytest.mark.parametrize(
    "word", ["1.2.3", "v1", "yesterday", "one two", "10s", "-", "1-2", "a:b", "e5"]
)
def test_other_words_are_texts(word: str) -> None:
    source = read_yaml(f"a: {word}" if word != "-" else 'a: "-"')
    assert (source.value, source.flaws) == ({"a": word}, ())


def test_names_are_texts() -> None:
    source = read_yaml("on: 1\nyes: 2\n3: 3\nnull: 4\n")
    assert source.value == {"on": 1, "yes": 2, "3": 3, "null": 4}
    assert source.flaws == ()


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a: [b\n c: d", (2, 3)),
        ("a: *x", (1, 4)),
        ("a: &a [*a]", (1, 8)),
        ("a: !!str 1", (1, 4)),
        ("a: !own {}", (1, 4)),
        ("? [x]\n: 2", (1, 3)),
        ("a: &n 1\n*n : 2", (2, 1)),
        ("a: 1\n<<: {b: 2}", (2, 1)),
        ("a: 1\n---\nb: 1", (2, 1)),
        ("a: 1\n\tb: 2", (2, 1)),
        (": 2", (1, 1)),
        ("", (1, 1)),
        ("# nothing", (1, 1)),
        (b"a: 1\nb: \xff", (2, 1)),
        ("a: \x01", (1, 1)),
        ("a: \ud800", (1, 1)),
        (f"a: {'9' * 5000}", (1, 4)),
    ],
)
def test_what_cannot_be_read_is_one_problem_with_its_place(
    text: str | bytes, position: tuple[int, int]
) -> None:
    assert wrong(text) == ("invalid_yaml", *position)


def test_an_alias_repeats_a_value_and_counts_each_time() -> None:
    assert read_yaml("a: &a {x: [1]}\nb: *a").value == {
        "a": {"x": [1]},
        "b": {"x": [1]},
    }
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        ten = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} [{ten}]")
    problem, line, _ = wrong("\n".join(lines))
    assert (problem, line) == (
        "too_large",
        5,
    )  # there, ten times 11,111 values are asked for
    assert 11_111 < MAX_VALUES < 111_110


def test_depth_is_bounded_through_aliases_too() -> None:
    assert wrong("[" * 101 + "]" * 101) == ("too_deep", 1, 101)
    deep = "a: &a " + "[" * 60 + "]" * 60
    assert wrong(f"{deep}\nb: " + "[" * 60 + "*a" + "]" * 60)[:2] == ("too_deep", 2)


def test_problems_have_their_place_in_the_yaml_text(tmp_path: Path) -> None:
    file = tmp_path / "w.YAML"
    file.write_text(
        "id: w\nsteps:\n  - id: s\n    component: c\n    depends_on: [gone]\n"
    )
    [problem] = find_problems(file).problems
    assert (problem.pointer, problem.line) == ("/steps/0/depends_on/0", 5)
    assert problem.column == 18


def test_names_that_stand_twice_are_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "w.yml"
    file.write_text("id: w\nid: x\nsteps: [{id: s, component: c}]\n")
    assert [x.code for x in find_problems(file).problems] == ["duplicate_key"]


def test_a_workflow_is_loaded_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(GREETING)
    assert Workflow.load(file).id == "greeting"
    file.write_text("id: w\nsteps: yes")
    with pytest.raises(DocumentUnreadable, match=r"line 2.*write true"):
        Workflow.load(file)


def test_the_same_text_is_another_document_in_another_form(tmp_path: Path) -> None:
    text = json.dumps({"id": "w", "steps": [{"id": "s", "component": "c"}]})
    for name in ("w.json", "w.yaml"):
        (tmp_path / name).write_text(text)
    as_json, as_yaml = (load_document(tmp_path / f"w.{x}") for x in ("json", "yaml"))
    assert as_json.digest != as_yaml.digest
    assert as_json.source().value == as_yaml.source().value
    assert (document_from_text(text).is_yaml, document_from_text(GREETING).is_yaml) == (
        False,
        True,
    )
