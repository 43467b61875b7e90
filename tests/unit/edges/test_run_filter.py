"""What runs are looked for by: what would find nothing without a word is refused."""

from __future__ import annotations

from typing import Any

import pytest

from projections.errors import InvalidQuery
from projections.runs import RunFilter


@pytest.mark.parametrize("name", ["status", "workflow", "fingerprint", "parent"])
def test_a_text_where_a_tuple_belongs_is_refused_with_what_to_write(name: str) -> None:
    criteria: dict[str, Any] = {name: "failed"}
    with pytest.raises(InvalidQuery, match=rf"{name} is a tuple: {name}=\('failed',\)"):
        RunFilter(**criteria)


def test_tuples_are_taken() -> None:
    assert RunFilter(status=("failed", "cancelled")).status == ("failed", "cancelled")
