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
