"""Times of queries, whatever the time zone of the machine."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from openagents_json.server.http.run_queries import RunPageQuery


@pytest.fixture
def machine_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("machine_elsewhere")
def test_a_time_without_a_zone_is_utc() -> None:
    moment = "2026-01-01T00:00:00"
    asked = {"as_of": moment, "started_after": moment, "ended_before": moment}
    query = RunPageQuery.model_validate(asked)
    chosen = query.filter()
    in_ms = 1_767_225_600_000
    assert (query.as_of_ms, chosen.started_from, chosen.ended_to) == (in_ms,) * 3
