"""A document in YAML through the command: run, checked, and published as its JSON."""

from __future__ import annotations

import json
from pathlib import Path

from tests.acceptance.processes import openagents

DOCUMENT = """\
# Greets somebody.
id: greeting
inputs:
  name: {type: string}
steps:
  - id: say
    component: greet
    inputs: {name: "{{input.name}}"}  # who
output: "{{say.output}}"
"""

COMPONENTS = """
from openagents_json import tool

@tool("greet")
def greet(name: str) -> str:
    return f"Hello, {name}!"
"""


def test_a_workflow_in_yaml_runs_and_is_published_like_one_in_json(
    tmp_path: Path,
) -> None:
    (tmp_path / "components.py").write_text(COMPONENTS)
    (tmp_path / "greeting.yaml").write_text(DOCUMENT)
    more = ("-i", "name=Ada", "-c", "components.py", "--data", "data")
    done = openagents("run", "greeting.yaml", *more, folder=tmp_path)
    assert json.loads(done.stdout)["output"] == "Hello, Ada!", done.stderr
    added = openagents(
        "workflows", "add", "greeting.yaml", "--data", "data", folder=tmp_path
    )
    assert added.returncode == 0, added.stderr
    again = openagents("run", "greeting", *more, folder=tmp_path)
    assert json.loads(again.stdout)["output"] == "Hello, Ada!", again.stderr


def test_a_word_that_is_refused_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "w.yml").write_text(DOCUMENT.replace("greet\n", "yes\n", 1))
    told = openagents("validate", "w.yml", folder=tmp_path)
    assert told.returncode == 4
    assert "7:16: error ambiguous_word" in told.stdout + told.stderr
    assert 'write true, or "yes" for the text' in told.stdout + told.stderr
