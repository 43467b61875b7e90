"""`email.send`: one message to a server that the worker's operator has named."""

from __future__ import annotations

from typing import Any

from openagents_json.components.context import Context
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.operator_names import connection_url


@tool("email.send", effect="at_most_once", version="1.0.0", tags=("email",))
def send(
    connection: str,
    to: str | list[str],
    subject: str,
    context: Context,
    text: str = "",
    html: str = "",
    sender: str = "",
    cc: list[str] | None = None,
    bcc: list[str] | None = None,
    reply_to: str = "",
    attachments: list[dict[str, Any]] | None = None,
    timeout_seconds: float = 30.0,
) -> dict[str, Any]:
    """Send a message, to all of its recipients or to none; gives its id and its recipients."""
    from openagents_json.components.library.mail.delivery import deliver
    from openagents_json.components.library.mail.message import Letter, compose
    from openagents_json.components.library.mail.server import server_of

    if not 0 < timeout_seconds <= 3600:
        raise NonRetryableError("timeout_seconds must be above 0 and at most 3600")
    server = server_of(connection, connection_url(connection))
    letter = Letter(
        sender=sender or server.sender,
        to=tuple([to] if isinstance(to, str) else to),
        cc=tuple(cc or ()),
        bcc=tuple(bcc or ()),
        reply_to=reply_to,
        subject=subject,
        text=text,
        html=html,
        attachments=tuple(attachments or ()),
    )
    envelope = compose(letter, context.idempotency_key, context.now_ms())
    deliver(server, envelope, timeout_seconds, context.token)
    return {"message_id": envelope.id, "recipients": list(envelope.recipients)}
