"""Inputs are edited by path, and by nothing that only looks like one."""

from __future__ import annotations

from typing import Any

import pytest

from cli.inputs.given import given_inputs, given_value
from openagents_json.workflow.errors import CannotEdit, InvalidInputs
from openagents_json.workflow.history.edits import edited

KNOWN: dict[str, Any] = {"x": 1, "deep": {"a": [1, {"b": 2}]}}


def test_a_part_of_an_input_is_edited_and_the_rest_is_kept() -> None:
    assert edited(KNOWN, {"deep.a[1].b": 7, "x": 2}) == {
        "deep": {"a": [1, {"b": 7}]},
        "x": 2,
    }


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x[",
        "x]",
        "x..",
        "..x",
        "x.",
        "deep.",
        "deep..a",
        "deep.a[x]",
        "[0]",
        "deep.a[9999999999]",
        "deep.[0]",
    ],
)
def test_what_is_no_path_changes_nothing(path: str) -> None:
    with pytest.raises(CannotEdit, match="is no path"):
        edited(KNOWN, {path: 4})


def test_a_value_that_is_nested_without_end_is_refused_in_a_line() -> None:
    deep = "[" * 100_000
    with pytest.raises(InvalidInputs, match="too deeply"):
        given_inputs((f"x={deep}",)).typed({})
    with pytest.raises(InvalidInputs, match="too deeply"):
        given_value(deep, None, "--payload").typed()
