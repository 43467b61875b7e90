"""The files of a new project."""

from __future__ import annotations

import json
from typing import Final

_WORKFLOW: Final = """\
{
  "$schema": "./workflow.schema.json",
  "id": "greeting",
  "inputs": {
    "name": {"type": "string", "required": true}
  },
  "steps": [
    {
      "id": "greet",
      "component": "greet",
      "inputs": {"name": "{{input.name}}"}
    },
    {
      "id": "count",
      "component": "count_letters",
      "depends_on": ["greet"],
      "inputs": {"text": "{{greet.output}}"}
    }
  ],
  "output": {"text": "{{greet.output}}", "letters": "{{count.output}}"}
}
"""

_COMPONENTS: Final = '''\
"""The components of the workflow: each step calls one by its name."""

from openagents_json import tool


@tool("greet")
def greet(name: str) -> str:
    return f"Hello, {name}!"


@tool("count_letters")
def count_letters(text: str) -> int:
    return sum(character.isalpha() for character in text)
'''

_TEST: Final = '''\
"""Runs the workflow in memory: no server, no workers."""

import json
from pathlib import Path

from components import count_letters, greet
from openagents_json.testing import play

WORKFLOW = json.loads(Path(__file__).with_name("workflow.json").read_text())


def test_somebody_is_greeted():
    run = play(WORKFLOW, {"name": "Ada"}, real=[greet, count_letters])
    run.assert_completed({"text": "Hello, Ada!", "letters": 8})
'''

_PYTEST: Final = """\
# The project's own, so that pytest does not take the settings of a folder above it.
[pytest]
pythonpath = .
"""

_README: Final = """\
# Greeting

`workflow.json` says what is done, `components.py` how.

```shell
openagents run workflow.json --input name=Ada -c components.py
openagents dev
python -m pip install pytest
python -m pytest
```
"""


def project_files() -> dict[str, str]:
    """Return the content of each file by its name."""
    # Only `init` needs the schema, so it alone pays for making it.
    from openagents_json.engine.documents import document_schema

    schema = json.dumps(document_schema(), indent=2, ensure_ascii=False)
    return {
        "workflow.json": _WORKFLOW,
        "workflow.schema.json": f"{schema}\n",
        "components.py": _COMPONENTS,
        "test_workflow.py": _TEST,
        "pytest.ini": _PYTEST,
        "README.md": _README,
        ".gitignore": ".openagents/\n__pycache__/\n",
    }
