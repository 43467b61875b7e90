"""What a worker says of a broker that is away: Celery would say it again with each try."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from celery.worker import request
from celery.worker.consumer import consumer

from eventstore.passwords import masked
from eventstore.redis.driver.outages import Outage

log = logging.getLogger(__name__)

_SPEAKING: Final = (consumer.__name__, request.__name__)
"""The loggers by which Celery speaks of its broker."""

_UNANSWERED: Final = ("Couldn't ack ", "Couldn't reject ")
"""How lines begin about doorbells that were heard, and that a broker which has gone meanwhile cannot be told of."""

_AWAY = "the broker does not answer, workers look for work by themselves meanwhile: %s"


class BrokerOutage(logging.Filter):
    """Says once that the broker is away, in the place of all that Celery says of it, and once that it is back."""

    def __init__(self, steady_ms: Callable[[], float], level: int) -> None:
        super().__init__()
        self._outage = Outage(log, steady_ms, level)
        for name in _SPEAKING:
            self._listen_to(logging.getLogger(name))

    def _listen_to(self, celery_log: logging.Logger) -> None:
        """Stand in the place of the one before."""
        for earlier in [x for x in celery_log.filters if isinstance(x, BrokerOutage)]:
            celery_log.removeFilter(earlier)
        celery_log.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line of Celery's is none about the broker; those are taken out."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        if record.msg == consumer.CONNECTION_ERROR:
            self._begin(arguments[1])
            return False
        if consumer.CONNECTION_RETRY in arguments:
            self._begin(arguments[-1])
            return False
        # It rings again when the broker is back. That it is away is said by who loses its connection, not here: such a
        # line may come late, when another connection is there already.
        return not str(record.msg).startswith(_UNANSWERED)

    def _begin(self, error: object) -> None:
        self._outage.begin(_AWAY, masked(str(error)))

    def end(self) -> None:
        """Hear that the broker is there."""
        self._outage.end("the broker answers")
