"""What a server refuses with is told as what it is, with what to do about it."""

from __future__ import annotations

from redis.exceptions import ResponseError

from eventstore.driver_errors import translate
from eventstore.errors import StoreUnavailable


def test_a_server_that_lost_its_replicas_is_not_said_to_be_at_a_wrong_url() -> None:
    error = translate(
        ResponseError("NOREPLICAS Not enough good replicas to write."), "redis://here"
    )
    assert isinstance(error, StoreUnavailable)
    assert "min-replicas-to-write" in str(error)
    assert "URL" not in str(error)
