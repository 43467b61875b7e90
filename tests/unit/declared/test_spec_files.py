"""Components that files declare: one, several, or a folder of them; what is misspelt is refused with its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.components.declared.openapi.document import import_openapi
from openagents_json.components.errors import CannotLoad
from openagents_json.engine.cataloging.spec_files import specs_in
from openagents_json.workflow.language.validate import validate

LAMPS = """
name: shop.lamps
version: 1.2.0
description: Lists lamps.
effect: idempotent
tags: [shop]
parameters:
  type: object
  properties:
    kind: {type: string, enum: [desk, floor], description: Which.}
    most: {type: integer, default: 10}
  required: [kind]
result: {type: array}
"""
CALL: dict[str, Any] = {"method": "get", "base": "https://example.com", "path": "/a"}


def test_a_folder_of_specs_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(LAMPS)
    several = {"components": [{"name": "one", "http": CALL}, {"name": "two"}]}
    (tmp_path / "a.json").write_text(json.dumps(several))
    (tmp_path / "notes.txt").write_text("no spec")
    registry = load([f"{tmp_path}/"], announced=False)
    assert registry.names() == ["one", "two", "shop.lamps"]
    assert registry.runnable() == ["one@0.1.0"]
    spec = registry.find("shop.lamps@^1.1")
    assert spec is not None
    kind, most = spec.inputs or ()
    assert (kind.name, kind.type, kind.required, kind.enum) == (
        "kind",
        "string",
        True,
        ("desk", "floor"),
    )
    assert (most.required, most.default, spec.output, spec.tags) == (
        False,
        10,
        "array",
        ("shop",),
    )


def test_limits_of_a_spec_stand_among_its_resources(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    limits = {"max_attempts": 2, "resources": {"memory_mb": 300, "disk": "much"}}
    file.write_text(json.dumps({"name": "one", "http": CALL, **limits}))
    spec = load([str(file)], announced=False).find("one")
    assert spec is not None
    assert spec.resources == {"max_attempts": 2, "memory_mb": 300, "disk": "much"}
    wrong = {"resources": {"memory_mb": "300"}}
    file.write_text(json.dumps({"name": "one", "http": CALL, **wrong}))
    with pytest.raises(CannotLoad, match="memory_mb '300' is no limit"):
        load([str(file)], announced=False)


def test_documents_are_checked_against_specs_that_nothing_here_runs(
    tmp_path: Path,
) -> None:
    (tmp_path / "lamps.yaml").write_text(LAMPS)
    step = {"id": "a", "component": "shop.lamps", "inputs": {"kynd": "desk"}}
    report = validate(
        {"id": "w", "steps": [step]}, load([str(tmp_path / "lamps.yaml")])
    )
    codes = {problem.code for problem in report.problems}
    assert codes == {"unknown_component_input", "missing_component_input"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "a", "versoin": "1"}, "did you mean 'version'"),
        ({"name": "a", "version": "1"}, "is not a semantic version"),
        ({"name": "a b"}, "must be one word"),
        ({"name": "a", "queue": "a|b"}, "must be one word"),
        ({"name": "a", "effect": "none"}, "effect 'none' is none of"),
        ({"name": "a", "tags": "x"}, "tags is of the wrong type"),
        ({"name": "a", "parameters": {"type": 3}}, "parameters is no JSON Schema"),
        ({"name": "a", "http": {"method": "GET"}}, "http has no path"),
        ({"name": "a", "http": {**CALL, "inputs": [{"input": "b"}]}}, "has no name"),
        (
            {
                "name": "a",
                "http": {**CALL, "inputs": [{"input": "b", "name": "b", "in": "x"}]},
            },
            "in 'x' is none of",
        ),
        ({"components": [{"name": "a"}, 3]}, "has to be an object"),
        ({"id": "w", "steps": []}, "declares no components"),
    ],
)
def test_a_spec_that_is_wrong_is_refused(
    tmp_path: Path, entry: Any, message: str
) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(entry))
    with pytest.raises(CannotLoad, match=message):
        load([str(path)])


def test_a_component_is_declared_once(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        path = f"/{name}"
        entry = {"name": "one", "http": {**CALL, "path": path}}
        (tmp_path / name).write_text(json.dumps(entry))
    with pytest.raises(
        CannotLoad, match=r"declared twice: at .*a\.json.* and at .*b\.json"
    ):
        load([f"{tmp_path}/"])
    assert load([f"{tmp_path}/a.json", f"{tmp_path}/a.json"]).can_run("one")


def test_where_there_are_no_specs_it_is_said(tmp_path: Path) -> None:
    for path, message in (
        (f"{tmp_path}/", "there are no specs in it"),
        (f"{tmp_path}/none/", "No such file"),
        (f"{tmp_path}/none.yaml", "No such file"),
    ):
        with pytest.raises(CannotLoad, match=message):
            load([path])


def test_words_are_read_as_yaml_1_2_has_them(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "name: a\nmetadata: {no: yes, day: 2020-01-01, n: 012, h: 0x1F, f: 1e3, t: true, z: ~, 3: x, time: 12:30}\n"
    )
    spec = load([str(path)]).find("a")
    assert spec is not None
    assert spec.metadata == {
        "no": "yes",
        "day": "2020-01-01",
        "n": 12,
        "h": 31,
        "f": 1000.0,
        "t": True,
        "z": None,
        "3": "x",
        "time": "12:30",
    }


def test_a_spec_that_changes_is_another_build(tmp_path: Path) -> None:
    builds = []
    for path in ("/a", "/a", "/b"):
        (tmp_path / "a.json").write_text(
            json.dumps({"name": "one", "http": {**CALL, "path": path}})
        )
        builds.append(load([f"{tmp_path}/a.json"]).build("one"))
    assert builds[0] == builds[1] != builds[2]
    (tmp_path / "a.json").write_text(
        json.dumps({"name": "one", "build": "v7", "http": CALL})
    )
    registry = load([f"{tmp_path}/a.json"])
    registry.deployed_as("v8")
    assert registry.build("one") == "v7"


SHOP = """
openapi: 3.1.0
info: {title: Shop, version: 1.0.0}
paths:
  /lamps/{id}:
    get:
      operationId: getLamp
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
"""


def test_what_was_imported_is_registered_as_if_it_were_loaded(tmp_path: Path) -> None:
    described, imported = tmp_path / "shop.yaml", tmp_path / "shop.json"
    described.write_text(SHOP)
    imported.write_text(json.dumps(import_openapi(described).specs))
    loaded = load([str(imported)], announced=False).published()
    assert list(specs_in([imported])) == list(loaded.values())
    [of_document] = specs_in([described])
    assert of_document["inputs_schema"] == loaded["shop.getLamp@1.0.0"]["inputs_schema"]


def test_specs_that_nothing_here_runs_are_registered_with_their_schemas(
    tmp_path: Path,
) -> None:
    (tmp_path / "lamps.yaml").write_text(LAMPS)
    (tmp_path / "other.json").write_text('[{"name": "other", "inputs": []}]')
    lamps, other = specs_in([tmp_path])
    assert (lamps["name"], lamps["version"], lamps["output"]) == (
        "shop.lamps",
        "1.2.0",
        "array",
    )
    assert [parameter["name"] for parameter in lamps["inputs"]] == ["kind", "most"]
    assert other == {"name": "other", "inputs": []}


def test_a_list_of_declared_specs_is_not_registered_as_taking_anything(
    tmp_path: Path,
) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps([{"name": "one", "http": CALL}]))
    with pytest.raises(CannotLoad, match="under components"):
        list(specs_in([file]))
