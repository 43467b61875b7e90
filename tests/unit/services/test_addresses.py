"""Where services listen, and how."""

from __future__ import annotations

import socket

import pytest

from openagents_json.server.addresses import listening_at, listening_at_all
from openagents_json.server.errors import AddressUnusable


def test_answers_in_several_parts_do_not_wait_for_each_other() -> None:
    with (
        listening_at("127.0.0.1", 0, 1) as listening,
        socket.create_connection(listening.getsockname()) as caller,
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert caller.getpeername() == listening.getsockname()


def test_a_name_is_listened_at_by_all_of_its_addresses() -> None:
    with listening_at("127.0.0.1", 0, 1) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnusable, match=f"port {port}: .*in use"):
            listening_at_all("localhost", port, 1)
    for listening in listening_at_all("localhost", port, 1):
        with listening:
            assert listening.getsockname()[1] == port


def test_a_name_that_nobody_knows_is_refused() -> None:
    with pytest.raises(AddressUnusable, match=r"no-such-name\.invalid"):
        listening_at_all("no-such-name.invalid", 1, 1)
