"""Addresses that services listen on."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack
from typing import Final

from openagents_json.server.errors import AddressUnusable

_NOT_OF_THIS_MACHINE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listening_at_all(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Return sockets that listen on all addresses of a name, or on the first of them where the port is any.

    Raises AddressUnusable: when one of them is taken, or the name has none.
    """
    addresses = _addresses_of(host, port)
    sockets: list[socket.socket] = []
    elsewhere: AddressUnusable | None = None
    with ExitStack() as bound:
        for address in addresses if port else addresses[:1]:
            try:
                listening = listening_at(address, port, backlog)
            except AddressUnusable as error:
                # `localhost` is ::1 too, also where there is no IPv6.
                if error.number not in _NOT_OF_THIS_MACHINE:
                    raise
                elsewhere = error
                continue
            sockets.append(listening)
            bound.callback(listening.close)
        if elsewhere is not None and not sockets:
            raise elsewhere
        bound.pop_all()
    return sockets


def _addresses_of(host: str, port: int) -> list[str]:
    try:
        resolved = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise AddressUnusable(host, port, str(error.strerror)) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in resolved))


def listening_at(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens on an address; the port 0 is any that is free.

    Raises AddressUnusable.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        # The text of the error repeats the address in words of Python's.
        why = os.strerror(error.errno) if error.errno else str(error)
        raise AddressUnusable(host, port, why, error.errno or 0) from None
    # Connections have it from here. asyncio sets it for sockets alone that say that they are TCP, which this one does
    # not; without it, an answer in two parts waits for the caller to acknowledge the first: 40 ms on Linux.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening
