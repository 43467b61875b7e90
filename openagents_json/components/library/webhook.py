"""`webhook.deliver`: a message to who has subscribed to it, signed as Standard Webhooks has it (specification 1.0)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import Any, Final

from openagents_json.components.context import Context
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError

SECRET_PREFIX: Final = "whsec_"
_MOST_BYTES: Final = 1_000_000


@tool("webhook.deliver", effect="idempotent", version="1.0.0", tags=("http",))
def deliver(
    url: str,
    secret: str,
    message_id: str,
    message: dict[str, Any],
    context: Context,
    timeout_seconds: float = 15.0,
) -> dict[str, Any]:
    """Post a message, signed at the time of this attempt; any answer but 200 to 299 is a failure to be tried again."""
    try:
        from openagents_json.components.library import http_exchange
    except ImportError as error:
        raise NonRetryableError(
            "webhook.deliver needs the package httpx: pip install 'openagents-json[http]'"
        ) from error
    body = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode()
    seconds = str(context.now_ms() // 1000)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": signature(secret, message_id, seconds, body),
    }
    request = http_exchange.prepare_content(
        "POST", url, headers, {"content": body}, context
    )
    bounds = http_exchange.Bounds(timeout_seconds, _MOST_BYTES)
    # A redirect would send the message where nobody has subscribed to it.
    answer = http_exchange.exchange(request, bounds, follows=False)
    http_exchange.raise_unless_taken(request, answer, context.now_ms())
    return {"status": answer.status}


def signature(secret: str, message_id: str, seconds: str, body: bytes) -> str:
    """Return the header `webhook-signature` of a message.

    Raises NonRetryableError for a secret that is no base64.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise NonRetryableError(
            "the secret of the webhook is no base64 behind whsec_"
        ) from None
    signed = f"{message_id}.{seconds}.".encode() + body
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"
