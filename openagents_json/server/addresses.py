"""Addresses that services listen on."""

from __future__ import annotations

import os
import socket

from openagents_json.server.errors import AddressUnusable


def listening_at(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens on an address; the port 0 is any that is free.

    Raises AddressUnusable.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        # The text of the error repeats the address in words of Python's.
        why = os.strerror(error.errno) if error.errno else str(error)
        raise AddressUnusable(host, port, why) from None
