"""How the main process of a worker begins while its store is away."""

from __future__ import annotations

import pytest

from eventstore.errors import StoreUnavailable
from executor.celery.host import Host
from executor.worker.worker import Worker


def host(*errors: Exception) -> Host:
    awaited = iter(errors)

    def make() -> Worker:
        raise next(awaited)

    return Host(make, lambda: None, "threads", 1, 0)


def test_a_store_that_went_away_since_it_was_looked_at_is_waited_for() -> None:
    away = StoreUnavailable("here", "away")
    with pytest.raises(ZeroDivisionError):
        host(away, away, ZeroDivisionError()).start_main()


def test_who_is_told_to_end_before_the_store_is_back_ends_in_good_order() -> None:
    begins = host(StoreUnavailable("here", "away"))
    begins.early = True
    with pytest.raises(SystemExit) as ended:
        begins.start_main()
    assert ended.value.code == 0
