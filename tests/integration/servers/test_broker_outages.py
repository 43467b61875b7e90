"""What is said of a broker that goes away between a doorbell and its answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from celery.worker import request
from kombu import Connection

from executor.celery.outages import BrokerOutage
from tests.conftest import Server, serving


@pytest.fixture
def broker() -> Iterator[Server]:
    with serving("valkey") as started:
        yield started


def test_that_a_doorbell_cannot_be_answered_is_said_by_nobody(
    broker: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """It rings again; that the broker is away is one line, which who connects to it says."""
    url = broker.url.replace("unix://", "redis+socket://", 1)
    with Connection(url) as connection:
        queue = connection.SimpleQueue("doorbells")
        queue.put("agent")
        rung = queue.get(timeout=60)
        broker.kill()
        outage = BrokerOutage(lambda: 0.0, logging.WARNING)
        try:
            errors = connection.connection_errors
            rung.ack_log_error(request.logger, errors)
        finally:
            request.logger.removeFilter(outage)
        assert [record.getMessage() for record in caplog.records] == []
        rung.ack_log_error(request.logger, errors)
        [record] = caplog.records
        assert record.getMessage().startswith("Couldn't ack ")
