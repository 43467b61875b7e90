"""A worker as a process of its own: components that have changed are loaded by the next one, and types do not mix.

It gets its orders over a socket, and says there when it works; when the socket closes, its parent is no more. Signals
reach it from its parent alone, which knows whether a Ctrl-C is the first.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from openagents_json.engine import Settings

_HOME: Final = str(Path(__file__).resolve().parents[3])
_PROGRAM: Final = """
import sys
sys.path.append(sys.argv[2])
from openagents_json.rooms import COMMAND, settle
settle([COMMAND])
from cli.commands.dev.child import main
main(int(sys.argv[1]))
"""


def orders_of(
    settings: Settings, components: Sequence[str], **options: str
) -> dict[str, Any]:
    """Return what a worker process is told to do: through a socket, as others can read arguments and environments."""
    return {
        "settings": settings.model_dump(mode="json"),
        "components": list(components),
        "options": options,
    }


class WorkerProcess:
    """A worker process: what it says, and how it is told to end."""

    def __init__(self, orders: Mapping[str, Any]) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM, str(number), _HOME],
                stdin=subprocess.DEVNULL,
                pass_fds=[number],
                # Not that of the terminal: its Ctrl-C is for the parent, which passes it on.
                process_group=0,
            )
        self._line.sendall(json.dumps(orders).encode() + b"\n")
        self._line.setblocking(False)
        self._rest = b""
        self.is_open = True
        self.is_ready = False
        self.stops = 0

    def fileno(self) -> int:
        """Return what can be waited for until it says something."""
        return self._line.fileno()

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Return what it has said since the last call."""
        try:
            while data := self._line.recv(65536):
                self._rest += data
            self.is_open = False
        except BlockingIOError:
            pass
        except OSError:  # it ended before it had read all that it was told
            self.is_open = False
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            yield json.loads(line)

    def status(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Tell it to end when its steps have; told again, it gives them no more time."""
        self.stops += 1
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once; its steps go to others when their leases have run out."""
        self.stops += 1
        self._process.kill()

    def close(self) -> None:
        """Close the socket of a process that has ended."""
        self._process.wait()
        self._line.close()
