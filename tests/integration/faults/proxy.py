"""Proxies before a server: one loses replies, so that nobody hears of what was carried out; one listens to them."""

from __future__ import annotations

import random
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


class Proxy:
    """Passes bytes on between clients and a server's unix socket."""

    def __init__(self, target: Path, socket_path: Path) -> None:
        self._target = target
        self.url = f"unix://{socket_path}"
        self._clients: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):  # most of them are closed
                client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def hears(self, request: bytes) -> None:
        """Look at what is asked, before it is passed on."""

    def passes(self, reply: bytes) -> bool:
        """Tell whether a reply is passed on; otherwise its connection breaks."""
        return True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            self._threads.append(
                threading.Thread(target=self._serve, args=(client,), daemon=True)
            )
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._target))
            other = {client: server, server: client}
            while True:
                for source in select.select([client, server], [], [])[0]:
                    try:
                        data = source.recv(1 << 16)
                        if not data:
                            return
                        if source is client:
                            self.hears(data)
                        elif not self.passes(data):
                            return
                        other[source].sendall(data)
                    except OSError:
                        return


class LossyProxy(Proxy):
    """Breaks connections when a reply comes."""

    def __init__(
        self, target: Path, socket_path: Path, *, chance: float, seed: int = 1
    ) -> None:
        self.chance, self._random = chance, random.Random(seed)
        self.lost = 0
        super().__init__(target, socket_path)

    def passes(self, reply: bytes) -> bool:
        """Lose some of the replies."""
        if self._random.random() < self.chance:
            self.lost += 1
            return False
        return True


class StirringProxy(Proxy):
    """Counts requests, and does something once before one that holds a `word` is passed on."""

    def __init__(self, target: Path, socket_path: Path) -> None:
        self.requests, self.word = 0, b""
        self.deed: Callable[[], object] = int
        super().__init__(target, socket_path)

    def hears(self, request: bytes) -> None:
        """Count it, and do what is to be done before it."""
        self.requests += 1
        if self.word and self.word in request:
            self.word = b""
            self.deed()


class ListeningProxy(Proxy):
    """Counts the replies that begin with something, each as a permit of `heard`."""

    def __init__(self, target: Path, socket_path: Path, begins: bytes) -> None:
        self._begins, self.heard = begins, threading.Semaphore(0)
        super().__init__(target, socket_path)

    def passes(self, reply: bytes) -> bool:
        """Note what is wanted of the replies, and pass all of them on."""
        if reply.startswith(self._begins):
            self.heard.release()
        return True
