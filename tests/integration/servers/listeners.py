"""What listens before a server, or in the place of one."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from pathlib import Path

from eventstore.errors import (
    EventStoreError,
)
from eventstore.redis.driver.connection import connect

CERTIFICATE = Path(__file__).with_name("tls") / "certificate.pem"


"""Of 127.0.0.1, signed by itself, good until 2126."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        connect(url).close()
    except EventStoreError:
        return False
    return True


def tls_before(port: int) -> int:
    """Put TLS before a server that has none; gives the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_name("key.pem"))
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, args=(listener, context, port), daemon=True).start()
    return int(listener.getsockname()[1])


def accept(listener: socket.socket, context: ssl.SSLContext, port: int) -> None:
    while True:
        raw, _ = listener.accept()
        threading.Thread(target=serve, args=(raw, context, port), daemon=True).start()


def serve(raw: socket.socket, context: ssl.SSLContext, port: int) -> None:
    """Pass requests and replies on: a client sends, and waits for the answer."""
    try:
        with (
            raw,
            context.wrap_socket(raw, server_side=True) as client,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            other = {client: server, server: client}
            while True:
                for source in (
                    select.select([client, server], [], [], 1)[0]
                    if not client.pending()
                    else [client]
                ):
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    other[source].sendall(data)
    except OSError:
        return
