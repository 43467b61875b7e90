"""Specs of the catalog are refused when they say what means nothing: no version of them could be mended later."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openagents_json.catalog.specs import registrable
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.engine.cataloging.spec_files import specs_in

WRONG = [
    ("version: 1.0", "version is a number, 1.0; write '1.0', in quotes"),
    ("tags: billing", "tags is a string, 'billing'; it takes an array"),
    ("tags: [1]", r"tags\[0\] is an integer, 1; it takes a string"),
    ("inputs: {a: integer}", "inputs is an object"),
    ("inputs: [a]", r"inputs\[0\] is a string, 'a'; write an object"),
    ("inputs: [{type: string}]", r"inputs\[0\] has no name"),
    ("inputs: [{name: a, type: strin}]", "did you mean 'string'"),
    ("effect: idempotnt", "did you mean 'idempotent'"),
    ("retry: 5", "retry is an integer, 5; it takes an object"),
    ("retry: {max_retrys: 1}", "retry has an unknown 'max_retrys'; did you mean"),
    ("timeout_ms: soon", "timeout_ms is a string, 'soon'; it takes an integer"),
    ("output: 4", "output is an integer, 4; it takes a string or an object"),
    ("resources: {max_attempts: many}", "max_attempts is no limit"),
]


@pytest.mark.parametrize(("member", "complaint"), WRONG)
def test_a_member_that_cannot_be_is_refused_with_what_to_write(
    tmp_path: Path, member: str, complaint: str
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(f"name: pay\n{member}\n")
    with pytest.raises(
        InvalidDeclaration, match=rf"spec\.yaml: component pay: .*{complaint}"
    ):
        list(specs_in([file]))


def test_a_misspelt_member_and_a_schema_that_is_none_are_refused_in_files(
    tmp_path: Path,
) -> None:
    file = tmp_path / "spec.json"
    for member, complaint in (
        ({"descripton": "pays"}, "did you mean 'description'"),
        ({"inputs_schema": {"type": "nothing"}}, "inputs_schema is no JSON Schema"),
    ):
        file.write_text(json.dumps({"name": "pay", **member}))
        with pytest.raises(InvalidDeclaration, match=complaint):
            list(specs_in([file]))


def test_whoever_registers_a_spec_that_could_start_no_run_is_refused() -> None:
    with pytest.raises(InvalidDeclaration, match="component pay: retry is an integer"):
        registrable({"name": "pay", "retry": 5})
    newer = {"name": "pay", "version": "1.0.0", "field_of_a_newer_program": 1}
    assert registrable(newer) == newer


def test_what_show_prints_as_json_can_be_registered_elsewhere(tmp_path: Path) -> None:
    spec = {"name": "pay", "version": "1.0.0", "description": "Pay."}
    shown = {"name": "pay", "status": "active", "versions": ["1.0.0"], "spec": spec}
    file = tmp_path / "shown.json"
    file.write_text(json.dumps(shown))
    assert list(specs_in([file])) == [spec]
