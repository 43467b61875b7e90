"""`email.send` to a server of ours: the message, who gets it, its errors, and what no input can put into a header."""

from __future__ import annotations

import asyncio
import base64
import email
import os
import socket
import threading
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.email import send

CONTEXT = Context(
    "r-1", "s", "w", 1, "key-1", None, CancelToken(), lambda: 1_000_000, lambda _: None
)


class Box:
    """Takes messages, or answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.refused: dict[str, str] = {}
        self.answer = "250 OK"
        self.on_data: Callable[[Any], None] = lambda _: None

    async def handle_RCPT(  # noqa: N802 - as aiosmtpd names it
        self, server: SMTP, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.on_data(server)
        if self.answer.startswith("250"):
            self.taken.append(envelope)
        return self.answer

    def message(self) -> EmailMessage:
        [envelope] = self.taken
        parsed = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed


def authenticated(
    _server: Any, _session: Any, _envelope: Any, kind: str, data: Any
) -> AuthResult:
    is_known = isinstance(data, LoginPassword) and data.password == b"p@ss"
    return AuthResult(success=is_known, handled=False)


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    box, loop = Box(), asyncio.new_event_loop()

    def session() -> SMTP:
        return SMTP(
            box,
            loop=loop,
            hostname="box",
            authenticator=authenticated,
            auth_require_tls=False,
        )

    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv(
        "OPENAGENTS_CONNECTION_MAIL",
        f"smtp+plain://shop:p%40ss@127.0.0.1:{port}?sender=Shop%20%3Cshop@example.com%3E",
    )
    yield box
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(server.wait_closed())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_message_is_sent_to_all_of_its_recipients(box: Box) -> None:
    given = send(
        "mail",
        "Ada <ada@example.com>",
        "Your l\u00e4mps",
        CONTEXT,
        text="Dear Ada\n.\n",
        html="<p>Dear Ada</p>",
        cc=["b@example.com"],
        bcc=["c@example.com", "b@example.com"],
        reply_to="answers@example.com",
        attachments=[
            {"name": "a\u00e9.txt", "content": "hi", "type": "text/plain"},
            {
                "name": "p.png",
                "content": "AP8=",
                "encoding": "base64",
                "type": "image/png",
            },
        ],
    )
    recipients = ["ada@example.com", "b@example.com", "c@example.com"]
    assert given["recipients"] == recipients
    [envelope] = box.taken
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", recipients)
    message = box.message()
    assert message["Message-ID"] == given["message_id"]
    assert (message["From"], message["To"], message["Cc"], message["Reply-To"]) == (
        "Shop <shop@example.com>",
        "Ada <ada@example.com>",
        "b@example.com",
        "answers@example.com",
    )
    assert message["Bcc"] is None
    assert message["Subject"] == "Your l\u00e4mps"
    assert message["Date"].datetime.timestamp() == 1000
    texts = [message.get_body((kind,)) for kind in ("plain", "html")]
    assert [part.get_content() for part in texts if part is not None] == [
        "Dear Ada\r\n.\r\n",
        "<p>Dear Ada</p>\r\n",
    ]
    attached = {
        part.get_filename(): part.get_content() for part in message.iter_attachments()
    }
    assert attached == {"a\u00e9.txt": "hi", "p.png": b"\x00\xff"}


def test_all_attempts_of_a_step_send_the_same_id(box: Box) -> None:
    first = send("mail", "a@example.com", "s", CONTEXT)
    assert send("mail", "a@example.com", "s", CONTEXT) == first


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x0b", "\u2028", "\x00", "\ud800"]
)
@pytest.mark.parametrize("name", ["to", "subject", "sender", "cc", "bcc", "reply_to"])
def test_no_input_puts_a_header_into_a_message(box: Box, name: str, end: str) -> None:
    text = f"a@example.com{end}Bcc: victim@example.com"
    inputs: dict[str, Any] = {"to": "a@example.com", "subject": "s"}
    inputs[name] = [text] if name in ("cc", "bcc") else text
    with pytest.raises(NonRetryableError, match=f"{name} has a line break"):
        send("mail", context=CONTEXT, **inputs)
    attachment = {"name": f"a{end}b", "content": ""}
    with pytest.raises(NonRetryableError, match="attachment has a line break"):
        send("mail", "a@example.com", "s", CONTEXT, attachments=[attachment])
    assert box.taken == []


@pytest.mark.parametrize(
    "address", ["", "ada", "a@b.c, d@e.f", "a@", "@b.c", "a b@c.d", "<>", "\u00e9@b.c"]
)
def test_an_address_is_one(box: Box, address: str) -> None:
    with pytest.raises(NonRetryableError, match="address"):
        send("mail", address, "s", CONTEXT)
    assert box.taken == []


def test_to_whom_it_may_send_is_said_by_the_worker(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_EMAIL_RECIPIENTS", "*@example.com, ops@else.org")
    for to in ("Ada@Example.com", "ops@else.org"):
        send("mail", to, "s", CONTEXT)
    with pytest.raises(NonRetryableError, match="OPENAGENTS_EMAIL_RECIPIENTS"):
        send("mail", "a@example.com", "s", CONTEXT, bcc=["a@else.org"])
    with pytest.raises(NonRetryableError, match="1 to 100 recipients"):
        send("mail", [], "s", CONTEXT)
    assert len(box.taken) == 2


def test_one_refused_recipient_keeps_it_from_all(box: Box) -> None:
    box.refused = {"b@example.com": "550 nobody", "c@example.com": "450 later"}
    to = ["a@example.com", "b@example.com"]
    with pytest.raises(NonRetryableError, match=r"'b@example\.com': 550 nobody"):
        send("mail", to, "s", CONTEXT)
    with pytest.raises(RetryableError, match="450 later"):
        send("mail", "c@example.com", "s", CONTEXT)
    assert box.taken == []


def test_what_the_server_answers_to_the_message_counts(box: Box) -> None:
    for answer, kind in (("451 busy", RetryableError), ("554 spam", NonRetryableError)):
        box.answer = answer
        with pytest.raises(kind, match=answer):
            send("mail", "a@example.com", "s", CONTEXT)


def test_without_an_answer_to_the_message_nobody_knows(box: Box) -> None:
    box.on_data = lambda server: server.transport.abort()
    with pytest.raises(NonRetryableError, match="may have taken it"):
        send("mail", "a@example.com", "s", CONTEXT)


def test_a_password_that_is_refused_is_not_shown(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = os.environ["OPENAGENTS_CONNECTION_MAIL"].replace("p%40ss", "s3cr3t")
    monkeypatch.setenv("OPENAGENTS_CONNECTION_MAIL", url)
    with pytest.raises(NonRetryableError, match="user and password: 535") as raised:
        send("mail", "a@example.com", "s", CONTEXT)
    told = str(raised.value)
    assert "s3cr3t" not in told
    assert base64.b64encode(b"s3cr3t").decode() not in told


def test_tls_is_not_left_out_in_silence(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = os.environ["OPENAGENTS_CONNECTION_MAIL"].replace("smtp+plain", "smtp")
    monkeypatch.setenv("OPENAGENTS_CONNECTION_MAIL", url)
    with pytest.raises(NonRetryableError, match="offers no STARTTLS"):
        send("mail", "a@example.com", "s", CONTEXT)
    assert box.taken == []


@pytest.mark.parametrize(
    "url", ["http://h", "smtp://", "smtp://h?x=1", "smtp://u:s3cr3t@h:x", "smtp://[h"]
)
def test_a_connection_that_is_no_mail_server_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OPENAGENTS_CONNECTION_MAIL", url)
    with pytest.raises(NonRetryableError, match="is no mail server") as raised:
        send("mail", "a@example.com", "s", CONTEXT)
    assert "s3cr3t" not in str(raised.value)


def test_a_server_that_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv(
            "OPENAGENTS_CONNECTION_MAIL", f"smtp+plain://127.0.0.1:{port}?sender=a@b.c"
        )
        with pytest.raises(RetryableError, match=r"email\.send by 'mail'"):
            send("mail", "a@example.com", "s", CONTEXT, timeout_seconds=0.05)
