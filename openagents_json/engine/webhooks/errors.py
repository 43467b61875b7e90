"""What can be wrong with webhooks.

NotFound
+-- WebhookNotFound     there is no webhook of a name
InvalidArgument
+-- InvalidWebhook      a webhook was asked for that cannot be
"""

from __future__ import annotations

from openagents_json.errors import InvalidArgument, NotFound


class WebhookNotFound(NotFound):
    """There is no webhook of a name."""

    code = "webhook_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no webhook {name!r}")


class InvalidWebhook(InvalidArgument):
    """A webhook was asked for that cannot be."""

    code = "invalid_webhook"
