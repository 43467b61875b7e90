"""A proxy before a server that loses replies: the command was carried out, and its sender will never hear of it."""

from __future__ import annotations

import random
import select
import socket
import threading
from pathlib import Path


class LossyProxy:
    """Passes bytes on between clients and a server's unix socket; breaks connections when a reply comes."""

    def __init__(self, target: Path, socket_path: Path, *, chance: float, seed: int = 1) -> None:
        self._target, self.chance, self._random = target, chance, random.Random(seed)
        self.url = f"unix://{socket_path}"
        self.lost = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(socket_path))
        self._listener.listen(64)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
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
                        if source is server and self._random.random() < self.chance:
                            self.lost += 1
                            return
                        other[source].sendall(data)
                    except OSError:
                        return
