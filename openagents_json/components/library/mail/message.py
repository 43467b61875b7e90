"""A message from the inputs of a step: each address is one, and nothing that a document says becomes a header."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any, Final

from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.operator_names import (
    MAIL_RECIPIENTS,
    is_recipient,
)

MOST_RECIPIENTS: Final = 100
MOST_BYTES: Final = 25_000_000

_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_ENDS_A_HEADER: Final = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as a document gives it."""

    sender: str
    to: tuple[str, ...]
    subject: str
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: str = ""
    text: str = ""
    html: str = ""
    attachments: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as a server takes it."""

    id: str
    sender: str
    recipients: tuple[str, ...]
    content: bytes


def compose(letter: Letter, idempotency_key: str, now_ms: int) -> Envelope:
    """Return a letter in its envelope; its id is equal for all attempts of a step.

    Raises NonRetryableError.
    """
    if not letter.sender:
        raise NonRetryableError(
            "the message has no sender; give one, or let the URL of the connection end in ?sender=ADDRESS"
        )
    sender, from_header = _address("sender", letter.sender)
    to, cc, bcc = (
        _addresses(name, getattr(letter, name)) for name in ("to", "cc", "bcc")
    )
    recipients = tuple(dict.fromkeys(address for address, _ in (*to, *cc, *bcc)))
    _check_recipients(recipients)
    domain = sender.rpartition("@")[2]
    own = hashlib.sha256(idempotency_key.encode("utf-8", "replace")).hexdigest()[:32]
    message_id = f"<{own}@{domain}>"
    headers = {
        "Message-ID": message_id,
        "Date": datetime.fromtimestamp(now_ms / 1000, UTC),
        "From": from_header,
        "To": ", ".join(shown for _, shown in to),
        "Cc": ", ".join(shown for _, shown in cc),
        "Reply-To": letter.reply_to and _address("reply_to", letter.reply_to)[1],
        "Subject": _one_line("subject", letter.subject),
    }
    message = _with_content(letter)
    for name in filter(headers.get, headers):
        message[name] = headers[name]
    content = message.as_bytes()
    if len(content) > MOST_BYTES:
        raise NonRetryableError(f"the message is larger than {MOST_BYTES} bytes")
    return Envelope(message_id, sender, recipients, content)


def _check_recipients(recipients: tuple[str, ...]) -> None:
    """Refuse a message to nobody, to too many, and to whom the operator does not allow.

    Raises NonRetryableError.
    """
    if not 0 < len(recipients) <= MOST_RECIPIENTS:
        raise NonRetryableError(
            f"a message has 1 to {MOST_RECIPIENTS} recipients, not {len(recipients)}"
        )
    for address in recipients:
        if not is_recipient(address):
            raise NonRetryableError(
                f"email.send may not send to {address!r}; {MAIL_RECIPIENTS} of the worker lists to whom it may"
            )


def _addresses(name: str, given: Iterable[str]) -> list[tuple[str, str]]:
    return [_address(name, text) for text in given]


_registry: Final = HeaderRegistry()


def _address(name: str, text: str) -> tuple[str, str]:
    """Return the one address of a text, such as `Ada <ada@example.com>`, and how a header shows it.

    Raises NonRetryableError.
    """
    addresses = _parsed(_one_line(name, text))
    if len(addresses) != 1 or not addresses[0].domain:
        raise NonRetryableError(
            f"{text!r} of {name} is not one address, such as ada@example.com or Ada <ada@example.com>"
        )
    address = addresses[0].addr_spec
    if not address.isascii():
        raise NonRetryableError(
            f"{text!r} of {name} has an address with other characters than ASCII; write its domain as xn--..."
        )
    return address, str(addresses[0])


def _parsed(text: str) -> tuple[Address, ...]:
    """Return the addresses of a text, none of one that is not written as addresses are."""
    try:
        header: Any = _registry("to", text)
    except (IndexError, ValueError, HeaderParseError):
        return ()
    return () if header.defects else header.addresses


def _one_line(name: str, text: str) -> str:
    """Return a text that stays within one header.

    Raises NonRetryableError.
    """
    if _ENDS_A_HEADER.search(text):
        raise NonRetryableError(
            f"{name} has a line break or a control character in it: it goes into a header, which is one line"
        )
    return text


def _with_content(letter: Letter) -> EmailMessage:
    """Return a message that has its texts and attachments.

    Raises NonRetryableError.
    """
    message = EmailMessage(SMTP)
    try:
        if letter.text or not letter.html:
            message.set_content(letter.text)
        if letter.html and letter.text:
            message.add_alternative(letter.html, subtype="html")
        elif letter.html:
            message.set_content(letter.html, subtype="html")
        for attachment in letter.attachments:
            _attach(message, attachment)
    except UnicodeEncodeError:
        raise NonRetryableError(
            "a text of the message has half a character in it, which no encoding has"
        ) from None
    return message


def _attach(message: EmailMessage, attachment: Mapping[str, Any]) -> None:
    """Add an attachment: `name`, `content` and, unless it is a text, `encoding` base64, with a `type`.

    Raises NonRetryableError.
    """
    unknown = set(attachment) - {"name", "content", "encoding", "type"}
    name, content = attachment.get("name"), attachment.get("content")
    if unknown or not isinstance(name, str) or not isinstance(content, str):
        raise NonRetryableError(
            "an attachment has a name and a content, both texts, and perhaps an encoding and a type, and nothing else"
        )
    kind = attachment.get("type", "application/octet-stream")
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise NonRetryableError(
            f"{kind!r} is no type of an attachment, such as image/png"
        )
    main, _, sub = kind.partition("/")
    message.add_attachment(
        _bytes_of(name, content, attachment.get("encoding", "text")),
        maintype=main,
        subtype=sub,
        filename=_one_line("the name of an attachment", name),
    )


def _bytes_of(name: str, content: str, encoding: Any) -> bytes:
    """Return the content of an attachment.

    Raises NonRetryableError.
    """
    if encoding == "text":
        return content.encode()
    try:
        if encoding == "base64":
            return base64.b64decode(content, validate=True)
    except ValueError:
        pass
    raise NonRetryableError(
        f"the content of {name!r} cannot be read as {encoding!r}; its encoding is text or base64"
    )
