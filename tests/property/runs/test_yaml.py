"""YAML is read as the JSON that it stands for, and whatever else it is, there is an answer."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import assume, given
from hypothesis import strategies as s

from openagents_json.workflow.language.validate import check
from openagents_json.workflow.language.yaml_text.read import read_yaml

TEXT = s.text(s.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
NUMBER = s.integers() | s.floats(allow_nan=False, allow_infinity=False)
JSON = s.recursive(
    s.none() | s.booleans() | NUMBER | TEXT,
    lambda inner: s.lists(inner, max_size=4) | s.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
MARKS = s.text("ab:-?[]{}&*!|>'\"%@`#,<~ \n\t10.", max_size=40)


@given(JSON)
def test_json_is_yaml(value: Any) -> None:
    text = json.dumps({"value": value}, ensure_ascii=False)
    assume(all(len(line) < 1000 for line in text.splitlines()))
    source = read_yaml(text)
    assert (source.wrong, source.flaws) == (None, ())
    assert source.value == {"value": value}


@given(s.lists(TEXT, max_size=5))
def test_what_another_writer_puts_into_quotes_is_a_text(texts: list[str]) -> None:
    written = yaml.safe_dump(texts, default_style='"', allow_unicode=True)
    assert read_yaml(written).value == texts


@given(MARKS | s.text(max_size=40) | s.binary(max_size=40))
def test_whatever_the_text_is_there_is_a_report(text: str | bytes) -> None:
    source = read_yaml(text)
    report = check(source).report
    assert not report.valid
    assert all(problem.line is not None for problem in report.problems)


@given(MARKS)
def test_what_is_read_without_a_flaw_is_what_others_read(text: str) -> None:
    """Where nothing is refused, a safe loader of YAML 1.1 agrees, but for numbers that only JSON has."""
    source = read_yaml(text)
    assume(source.wrong is None and not source.flaws and not source.doubled)
    loaded = yaml.load(text, Loader=yaml.CSafeLoader)
    assert with_text_names(loaded) == source.value


def with_text_names(value: Any) -> Any:
    """Return a value whose names are texts, as JSON has them: in YAML 1.1 they may be anything."""
    if isinstance(value, dict):
        return {
            name if isinstance(name, str) else None: with_text_names(item)
            for name, item in value.items()
        }
    return [with_text_names(x) for x in value] if isinstance(value, list) else value
