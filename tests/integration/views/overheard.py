"""What a server is asked: its own record of commands, for tests that look at how much is asked of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from tests.conftest import Server

END = "that is all"


@contextmanager
def overheard(server: Server, key: bytes) -> Iterator[list[list[str]]]:
    """Return the commands that name a key, also those of scripts; they are there when the block has ended."""
    commands: list[list[str]] = []
    with server.connect().client.monitor() as monitor:
        yield commands
        server.look.command(b"ECHO", END)
        while END not in (command := monitor.next_command()["command"]):
            if key.decode() in command:
                commands.append(shlex.split(command))


def most_asked_for(commands: list[list[str]]) -> int:
    """Return the most entries of a stream that were asked for at once; one without a bound asks for all."""
    reads = [
        command
        for command in commands
        if command[0].upper() in ("XRANGE", "XREVRANGE", "XREAD")
    ]
    assert reads
    return max(
        int(command[command.index("COUNT") + 1]) if "COUNT" in command else 2**63
        for command in reads
    )
