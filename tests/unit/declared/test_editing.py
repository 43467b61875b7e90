"""A text that is being written can be asked at each of its places, whatever is missing of it."""

from __future__ import annotations

import json

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine.editing.completion import Completion
from openagents_json.engine.editing.meanings import Meanings
from openagents_json.engine.editing.outline import outline_of
from openagents_json.workflow.language.nested_steps import all_steps
from openagents_json.workflow.language.yaml_text.read import read_yaml

YAML = """# a comment
id: w
inputs: {"a": {type: string, description: two words, default: 'x: y'}}
steps:
- id: one   # a comment
  component: echo
  inputs:
    text: |
      Hello {{input.a}}

      and more
    "b c": ["{{input.a}}", {d: 1}]
-   id: two
    depends_on:
    - one
    loop:
      while: one.success
      steps:
        - {id: inner, component: echo}
output: "{{one.output}}"
"""


@pytest.mark.parametrize("is_yaml", [True, False])
def test_each_beginning_of_a_text_is_understood_as_far_as_it_goes(
    is_yaml: bool,
) -> None:
    value = read_yaml(YAML).value
    text = YAML if is_yaml else json.dumps(value, indent=1)
    registry = load(())
    seen: set[str] = set()
    for end in range(len(text) + 1):
        outline = outline_of(text[:end], is_yaml=is_yaml)
        Completion(outline, registry, is_yaml).at(end)
        meanings = Meanings(outline, registry)
        meanings.at(end)
        meanings.source_at(end)
        seen |= {*outline.steps()} & {"one", "two", "inner"}
    whole = outline_of(text, is_yaml=is_yaml)
    assert seen == {"one", "two", "inner"}
    assert set(whole.steps()) == {location.step["id"] for location in all_steps(value)}
    assert whole.value("inputs", "a", "description") == "two words"
    assert whole.value("steps", 0, "inputs", "b c", 1, "d") == "1"
    assert whole.component_of("inner") == "echo"
    assert whole.value("output") == "{{one.output}}"


@pytest.mark.parametrize("text", ["", "{", "}", "]]", "- ", "a: {b: [", ":", "\t", "'"])
def test_what_is_no_document_is_asked_in_vain(text: str) -> None:
    for is_yaml in (True, False):
        outline = outline_of(text, is_yaml=is_yaml)
        for offset in range(len(text) + 1):
            assert Meanings(outline, load(())).at(offset).text == ""
