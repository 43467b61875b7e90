"""What a worker takes from the broker: doorbells of its own kind. All else is dropped with a line in the log.

Whoever can write to the broker can put anything into our queues, by mistake or not. Some of it ends a worker of Celery
(bytes that are no JSON, envelopes without their parts), and some has it act (callbacks, times in the future). So
entries are looked at before Celery sees them: first as they come from a Redis, then as messages.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from queue import Empty
from typing import Any, Final

from celery.app.amqp import AMQP
from celery.worker.consumer import Consumer
from kombu import Connection
from kombu.transport import redis as kombu_redis

from executor.celery.app import TASK
from executor.celery.outages import BrokerOutage

log = logging.getLogger(__name__)

MOST_BYTES: Final = 64 * 1024
"""Far more than a doorbell has."""

_BROKEN: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    ArithmeticError,
    MemoryError,
)
"""What reading an entry raises that is no message; errors of the connection are not among them."""

_UNUSED: Final = ("eta", "expires", "group", "chord", "compression", "reply_to")
"""Headers that no doorbell has, and that Celery would act on."""


def drop(why: str) -> None:
    """Say that an entry is dropped; nothing of it is in the line."""
    log.warning("an entry in the broker is no doorbell of ours and is dropped: %s", why)


def flaw_of_envelope(raw: Any) -> str:
    """Return why an entry of a Redis is no message, empty when it is one."""
    if not isinstance(raw, Mapping):
        return "it is no object"
    properties = raw.get("properties")
    headers = raw.get("headers")
    if not isinstance(properties, Mapping) or not isinstance(headers, Mapping):
        return "it has no properties or headers"
    if not isinstance(properties.get("delivery_tag"), str):
        return "it has no delivery tag"
    if not isinstance(properties.get("delivery_info"), Mapping):
        return "it has no delivery info"
    if properties.get("body_encoding") != "base64" or not isinstance(
        raw.get("body"), str
    ):
        return "its body is not base64"
    return "it is compressed" if headers.get("compression") else ""


def flaw_of_message(message: Any) -> str:
    """Return why a message is no doorbell, empty when it is one."""
    headers = message.headers
    is_of_others = (
        not isinstance(headers, Mapping)
        or headers.get("task") != TASK
        or not isinstance(headers.get("id"), str)
    )
    if is_of_others:
        return "it is no task of ours"
    is_of_another_type = (
        message.content_type != "application/json"
        or str(message.content_encoding).lower() != "utf-8"
    )
    if is_of_another_type:
        return "its content is not JSON in UTF-8"
    asks_for_more = (
        any(headers.get(name) for name in _UNUSED)
        or headers.get("retries")
        or any(headers.get("timelimit") or ())
    )
    if asks_for_more:
        return "it asks for more than a doorbell may"
    return _flaw_of_body(message.body)


def _flaw_of_body(body: Any) -> str:
    raw = body.encode() if isinstance(body, str) else bytes(body)
    if len(raw) > MOST_BYTES:
        return "it is too large"
    arguments, named, embedded = json.loads(raw)
    is_malformed = (
        not isinstance(arguments, list)
        or len(arguments) != 1
        or not isinstance(arguments[0], str)
        or named != {}
    )
    if is_malformed:
        return "it names no queue"
    if not isinstance(embedded, Mapping) or any(embedded.values()):
        return "it asks for more than a doorbell may"
    return ""


class CarefulConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, behind a door that only doorbells pass."""

    broker_outage: BrokerOutage | None = None

    def connect(self) -> Any:
        """Connect to the broker, for as long as it takes."""
        connection = super().connect()
        if self.broker_outage is not None:
            self.broker_outage.end()
        return connection

    def create_task_handler(
        self, *arguments: Any, **options: Any
    ) -> Callable[[Any], None]:
        """Return what is called with each message."""
        receive = super().create_task_handler(*arguments, **options)

        def look(message: Any) -> None:
            try:
                flaw = flaw_of_message(message)
            except _BROKEN as error:
                flaw = type(error).__name__
            if flaw:
                self._drop(message, flaw)
            else:
                receive(message)

        return look

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Drop what its transport could not read."""
        self._drop(message, type(exc).__name__)

    def _drop(self, message: Any, why: str) -> None:
        drop(why)
        message.ack_log_error(log, self.connection_errors)


class _CarefulReading:
    """Reads entries from a Redis; one that is no message is gone, and the reading goes on."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]
        except _BROKEN as error:
            # It was taken out of the list before it was looked at, so there is nothing to give back.
            drop(type(error).__name__)
            return True

    def _get(self, queue: str) -> Any:
        try:
            return super()._get(queue)  # type: ignore[misc]
        except _BROKEN as error:
            drop(type(error).__name__)
            raise Empty from error


class _CarefulDelivery:
    """Hands on what is a message, to whoever consumes its queue."""

    def _deliver(self, message: Any, queue: str) -> None:
        flaw = flaw_of_envelope(message)
        if flaw:
            drop(flaw)
        else:
            super()._deliver(message, queue)  # type: ignore[misc]


class _Channel(_CarefulReading, kombu_redis.Channel):  # type: ignore[misc]
    pass


class _SentinelChannel(_CarefulReading, kombu_redis.SentinelChannel):  # type: ignore[misc]
    pass


class _Transport(_CarefulDelivery, kombu_redis.Transport):  # type: ignore[misc]
    Channel = _Channel


class _SentinelTransport(_CarefulDelivery, kombu_redis.SentinelTransport):  # type: ignore[misc]
    Channel = _SentinelChannel


_CAREFUL: Final = {
    kombu_redis.Transport: _Transport,
    kombu_redis.SentinelTransport: _SentinelTransport,
}


class CarefulConnection(Connection):  # type: ignore[misc]
    """A connection to the broker whose entries are looked at as they come, where its transport lets all through."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport."""
        chosen = super().get_transport_cls()
        return _CAREFUL.get(chosen, chosen)


class CarefulAmqp(AMQP):  # type: ignore[misc]
    """How the app connects to the broker."""

    Connection = CarefulConnection
