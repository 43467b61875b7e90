"""Starts of many runs whose outcome nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from eventstore.errors import StoreUnavailable
from openagents_json.engine import Engine
from openagents_json.server.execution.starting import StartManyRequest, start_runs


class AnswerLost:
    """An engine whose store has begun runs, and goes away before it says so."""

    def __init__(self) -> None:
        self.begun = 0

    def start_many(self, asked: Sequence[Any], **_: Any) -> list[Any]:
        """Begin all, and lose the answer."""
        self.begun += len(asked)
        raise StoreUnavailable("the store", "the connection was closed", "try again")

    def start(self, *_: Any, **__: Any) -> str:
        """Begin one."""
        self.begun += 1
        return "0-again"


def test_runs_that_may_have_begun_are_not_begun_again() -> None:
    engine = AnswerLost()
    request = StartManyRequest.model_validate({"runs": [{"workflow": "greeting"}] * 2})
    with pytest.raises(StoreUnavailable):
        start_runs(request, cast("Engine", engine))
    assert engine.begun == 2
