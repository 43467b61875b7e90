"""What a start looks at of a document: what keeps it from running, and nothing that is only a warning."""

from __future__ import annotations

import pytest

from openagents_json.engine import Engine
from openagents_json.workflow.errors import InvalidDefinition
from openagents_json.workflow.validation.schemas import comparison
from tests.conftest import Server


def listing() -> list[str]:
    return []


def count(n: int) -> int:
    return n


def document(**more: object) -> dict[str, object]:
    given = {"n": "{{a.output}}"}
    steps = [
        {"id": "a", "component": "listing"},
        {"id": "b", "component": "count", "inputs": given, **more},
    ]
    return {"id": "w", "steps": steps}


def comparisons() -> int:
    counted = comparison._compare_texts.cache_info()
    return counted.hits + counted.misses


def test_a_start_compares_no_schemas_and_an_error_is_told_with_all_warnings(
    server: Server,
) -> None:
    with Engine.connect(
        server.url, components=[listing, count], prefix=server.prefix(), partitions=1
    ) as engine:
        before = comparisons()
        engine.start(document())
        assert comparisons() == before
        [warning] = engine.validate(document()).problems
        assert warning.code == "cannot_fit"
        with pytest.raises(InvalidDefinition) as caught:
            engine.start(document(depends_on=["c"]))
    codes = {problem.code for problem in caught.value.report.problems}
    assert {"cannot_fit", "missing_referenced_step"} <= codes
