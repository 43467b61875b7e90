"""The Celery side: an app without results, ETA or retries, whose one task drains; its messages are doorbells.

Messages carry a queue's name and no truth: losing, doubling or delaying one costs time only. Each setting is explained
where it is not Celery's default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from celery import Celery
from kombu import Queue

from executor.celery.broker import broker_of
from openagents_json.workflow.component_spec import USUAL_TYPES

TASK = "openagents.drain"


def celery_queue(prefix: str, queue: str) -> str:
    """Name the Celery queue of a worker type in a store: workers of another store would swallow its doorbells."""
    return f"openagents.{prefix}.{queue}"


def make_app(broker: str, prefix: str, queues: Sequence[str] = USUAL_TYPES) -> Celery:
    """Make the app; nothing is connected yet."""
    address = broker_of(broker)
    app = Celery("openagents", broker=address.url, set_as_current=False)
    app.conf.update(
        result_backend=None,  # the log has the results
        task_ignore_result=True,
        task_acks_late=False,  # recovery is by leases; a late ack only makes duplicates
        task_reject_on_worker_lost=False,
        # Of tasks that are acked late, so none of ours; without it Celery warns of its next default at each outage.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        task_default_delivery_mode=1,
        task_publish_retry=False,  # a doorbell that cannot be sent is sent again by the relay
        task_send_sent_event=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,  # other applications on the broker could end all workers by one message
        task_serializer="json",
        accept_content=["json"],
        task_create_missing_queues=True,
        task_queues=[Queue(celery_queue(prefix, queue)) for queue in queues],
        task_default_queue=celery_queue(prefix, queues[0]),
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # what is printed is no log, and is not dressed up as one
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # never give up: the broker may be away for hours
        broker_channel_error_retry=True,  # or a READONLY or OOM answer ends the worker
        broker_transport_options=_transport(broker) | dict(address.options),
        broker_use_ssl=None if address.use_ssl is None else dict(address.use_ssl),
    )
    return app


def _transport(broker: str) -> dict[str, Any]:
    if not broker.startswith(("redis", "unix")):
        return {}
    options: dict[str, Any] = {
        "visibility_timeout": 600,
        "unacked_restore_throttle": 1,
        "socket_timeout": 15,
        "socket_connect_timeout": 5,
        "max_connections": 64,
        "queue_order_strategy": "round_robin",
    }
    if not broker.startswith("unix"):
        options |= {"socket_keepalive": True, "health_check_interval": 25}
    return options


class CeleryDoorbell:
    """Rings by a Celery message; to be wrapped by what rings in the background, as a broker may be away."""

    def __init__(self, app: Celery, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    def ring(self, queue: str) -> None:
        """Send one doorbell to the workers of a queue.

        Raises kombu.exceptions.OperationalError and OSError.
        """
        name = celery_queue(self._prefix, queue.removesuffix(".async"))
        self._app.send_task(
            TASK, args=[queue], queue=name, retry=False, ignore_result=True
        )

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
