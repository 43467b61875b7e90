"""A message handed to its server, by SMTP: what is refused before it is sent may be tried again, no more after."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from openagents_json.components.context import CancelToken
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.guards import guarded
from openagents_json.components.library.mail.message import Envelope
from openagents_json.components.library.mail.server import Server

_TRANSIENT: Final = range(400, 500)
_SHOWN: Final = 200


def deliver(
    server: Server, envelope: Envelope, seconds: float, token: CancelToken
) -> None:
    """Let a server take a message for all of its recipients, or for none.

    Raises NonRetryableError, RetryableError and CancelledByEngine.
    """
    what = f"email.send by {server.name!r}"
    ends = time.monotonic() + seconds
    with _told(what), _connected(server, seconds) as session:
        left = max(0.001, ends - time.monotonic())
        with guarded(token, left, what, lambda: _cut(session)):
            _greet(what, server, session)
            _address(what, envelope, session)
            _send(what, envelope, session)


@contextmanager
def _connected(server: Server, seconds: float) -> Iterator[smtplib.SMTP]:
    """Connect; the connection is closed afterwards, with a word to the server if it still listens."""
    # Who we are is said by a name that nobody has to be asked for.
    more: dict[str, Any] = {
        "timeout": seconds,
        "local_hostname": socket.gethostname() or "localhost",
    }
    session: smtplib.SMTP
    if server.kind == "smtps":
        trust = ssl.create_default_context()
        session = smtplib.SMTP_SSL(server.host, server.port, context=trust, **more)
    else:
        session = smtplib.SMTP(server.host, server.port, **more)
    try:
        yield session
        with suppress(smtplib.SMTPException, OSError):
            session.quit()
    finally:
        session.close()


def _cut(session: smtplib.SMTP) -> None:
    """End a connection that another thread waits on."""
    sock = session.sock
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _greet(what: str, server: Server, session: smtplib.SMTP) -> None:
    """Agree on TLS and say who we are.

    Raises NonRetryableError.
    """
    session.ehlo_or_helo_if_needed()
    if server.kind == "smtp":
        if not session.has_extn("starttls"):
            raise NonRetryableError(
                f"{what}: the server offers no STARTTLS; if it is to be used without TLS, write smtp+plain://"
            )
        session.starttls(context=ssl.create_default_context())
        session.ehlo_or_helo_if_needed()
    if server.user:
        session.login(server.user, server.password)


def _address(what: str, envelope: Envelope, session: smtplib.SMTP) -> None:
    """Name sender and recipients; one that is refused keeps the message from all.

    Raises NonRetryableError and RetryableError.
    """
    _expect(what, "the sender", *session.mail(envelope.sender))
    for recipient in envelope.recipients:
        _expect(what, f"the recipient {recipient!r}", *session.rcpt(recipient))


def _send(what: str, envelope: Envelope, session: smtplib.SMTP) -> None:
    """Send the message itself; without an answer nobody knows whether it was taken.

    Raises NonRetryableError and RetryableError.
    """
    try:
        code, answer = session.data(envelope.content)
    except smtplib.SMTPDataError as error:
        code = error.smtp_code
        answer = _bytes(error.smtp_error)
    except (smtplib.SMTPServerDisconnected, OSError):
        raise NonRetryableError(
            f"{what}: the connection was lost while the message was sent; the server may have taken it "
            f"({envelope.id})"
        ) from None
    _expect(what, "the message", code, answer)


def _expect(what: str, part: str, code: int, answer: bytes) -> None:
    """Let a step fail as the answer of a server says.

    Raises NonRetryableError and RetryableError.
    """
    if 200 <= code < 400:
        return
    shown = answer.decode("utf-8", "replace")[:_SHOWN]
    message = f"{what}: the server refuses {part}: {code} {shown}"
    if code in _TRANSIENT or code < 0:
        raise RetryableError(message)
    raise NonRetryableError(message)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Tell what goes wrong before the message is sent; the password is in none of it."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as error:
        _expect(what, "user and password", error.smtp_code, _bytes(error.smtp_error))
        raise
    except smtplib.SMTPResponseException as error:
        _expect(what, "what it was asked", error.smtp_code, _bytes(error.smtp_error))
        raise
    except smtplib.SMTPNotSupportedError as error:
        raise NonRetryableError(f"{what}: {error}") from None
    except ssl.SSLCertVerificationError as error:
        raise NonRetryableError(
            f"{what}: its certificate is refused: {error.verify_message}"
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise RetryableError(f"{what}: {type(error).__name__}") from None


def _bytes(answer: bytes | str) -> bytes:
    if isinstance(answer, bytes):
        return answer
    return answer.encode()
