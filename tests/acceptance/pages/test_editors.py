"""What the page about editors says to write into files is what editors need."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from openagents_json.workflow.language.validate import validate
from tests.acceptance.processes import ROOT, openagents

PAGE = ROOT / "docs" / "how-to" / "use-an-editor.md"
SCHEMA = "workflow.schema.json"


@pytest.fixture
def blocks() -> list[Any]:
    texts = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    return [json.loads(block) for block in texts]


def test_the_schema_that_a_document_and_a_setting_name_is_the_one_that_is_written(
    tmp_path: Path, blocks: list[Any]
) -> None:
    done = openagents("workflows", "schema", "--output", SCHEMA, folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    schema = json.loads((tmp_path / SCHEMA).read_text())
    assert json.loads(openagents("workflows", "schema").stdout) == schema
    document, settings = blocks
    assert (tmp_path / document["$schema"]).samefile(tmp_path / SCHEMA)
    [setting] = settings["json.schemas"]
    assert (tmp_path / setting["url"]).samefile(tmp_path / SCHEMA)
    editor = Draft202012Validator(schema)
    assert editor.is_valid(document)
    assert not editor.is_valid({**document, "timeout": "soon"})
    assert [problem.code for problem in validate(document).problems] == []


def test_each_example_names_the_schema_and_fits_it() -> None:
    schema = ROOT / "docs" / "reference" / SCHEMA
    editor = Draft202012Validator(json.loads(schema.read_text()))
    documents = 0
    for path in sorted((ROOT / "examples").rglob("*.json")):
        document = json.loads(path.read_text())
        if not isinstance(document, dict) or "steps" not in document:
            continue
        documents += 1
        assert (path.parent / document.get("$schema", "nothing")).samefile(schema), path
        assert [error.message for error in editor.iter_errors(document)] == [], path
    assert documents > 50
