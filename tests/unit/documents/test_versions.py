"""Versions and ranges mean what they mean to npm: its own results are the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openagents_json import Registry
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.workflows import choose
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.workflow.language.validate import validate
from openagents_json.workflow.versions import highest, in_order, is_range, is_version
from tests.simulation import steps

TABLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "data/npm_ranges.json").read_text()
)


def registry(versions: list[str], name: str = "c") -> Registry:
    components = Registry()
    for version in versions:
        components.tool(name, version=version)(lambda: None)
    return components


def test_a_range_chooses_what_npm_chooses() -> None:
    differing = []
    registries = [registry(versions) for versions in TABLE["sets"]]
    for version_range, results in TABLE["ranges"]:
        assert is_range(version_range) == (results is not None), version_range
        if not version_range:
            continue  # no range: the highest release
        for versions, available, expected in zip(
            TABLE["sets"], registries, results or [None] * 5, strict=True
        ):
            spec = available.find(f"c@{version_range}")
            got = [
                highest(version_range, versions),
                choose(version_range, versions),
                spec.version if spec else None,
            ]
            if got != [expected] * 3:
                differing.append((version_range, versions, expected, got))
    assert differing == []
    assert len(TABLE["ranges"]) > 500


def test_versions_are_in_npms_order() -> None:
    for versions, order in zip(TABLE["sets"], TABLE["order"], strict=True):
        assert in_order(reversed(versions)) == order


@pytest.mark.parametrize(("text", "npm"), TABLE["versions"])
def test_a_version_is_one_and_nothing_else(text: str, npm: str | None) -> None:
    bare = text.partition("+")[0] if npm is not None else text
    assert is_version(text) == (
        npm == bare
    )  # npm also takes what has blanks, v or = before it
    if is_version(text):
        assert registry([text]).find("c") is not None
    else:
        with pytest.raises(InvalidDeclaration, match="not a semantic version"):
            registry([text])


@pytest.mark.parametrize(
    ("version_range", "code"),
    [
        ("latest", "invalid_range"),
        (">=1.0.0,<2.0.0", "invalid_range"),
        ("1.x.3", "invalid_range"),
        ("=>1", "invalid_range"),
        (">= 1.0.0", None),
        ("~>1.5", None),
        (">=1.0.0  <2.0.0", None),
        ("3", "version_incompatible"),
        ("<2.0.0-rc.1 >=2", "version_incompatible"),
    ],
)
def test_what_is_no_range_is_said_to_be_that(
    version_range: str, code: str | None
) -> None:
    registered = registry(["1.0.0", "1.5.0", "2.0.0-rc.1"])
    problems = validate(
        steps({"id": "a", "component": f"c@{version_range}"}), registered
    ).problems
    assert [problem.code for problem in problems] == ([] if code is None else [code])
    if code == "invalid_range":
        assert (problems[0].found, "^1.4" in problems[0].suggestion) == (
            version_range,
            True,
        )


@pytest.mark.parametrize(
    ("version_range", "code"),
    [
        ("stable", "unknown_workflow"),
        ("=>1", "invalid_range"),
        ("9", "unknown_workflow"),
    ],
)
def test_ranges_of_workflows_too(version_range: str, code: str) -> None:
    class Known(Registry):
        def find_workflow(self, reference: str) -> Any:
            return "there" if reference == "w2" else None

    document = {"id": "w", "steps": [{"id": "a", "workflow": f"w2@{version_range}"}]}
    assert [problem.code for problem in validate(document, Known()).problems] == [code]


def test_published_versions_that_are_none_are_found_by_their_name_only() -> None:
    assert choose("1.0.0-a..b", ["1.0.0-a..b", "1.0.0"]) == "1.0.0-a..b"
    assert choose("", ["1.0.0-a..b"]) is None
    assert choose("*", ["1.0.0-a..b", "1.0.0"]) == "1.0.0"


def test_a_workflow_of_no_range_is_told_what_ranges_look_like() -> None:
    assert "'=>1' is no range of versions: write for example" in str(
        UnknownWorkflow("w@=>1")
    )
    assert "no range" not in str(UnknownWorkflow("w@stable"))
