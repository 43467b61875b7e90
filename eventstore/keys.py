"""Every key name."""

from __future__ import annotations

import re
import zlib


class Keyspace:
    """Key names."""

    def __init__(self, prefix: str = "oa", partitions: int = 8) -> None:
        self.prefix, self.partitions = prefix, partitions

    def partition_of(self, name: str) -> int:
        """Give the partition."""
        m = re.match(r"(\d+)-", name, re.ASCII)
        if m and int(m[1]) < self.partitions:
            return int(m[1])
        return zlib.crc32(name.encode("utf-8", "surrogatepass")) % self.partitions

    def _k(self, p: int, rest: str) -> bytes:
        return f"{self.prefix}:{{{p}}}:{rest}".encode("utf-8", "surrogatepass")

    def meta(self, p: int) -> bytes:
        """Key."""
        return self._k(p, "meta")

    def log(self, p: int) -> bytes:
        """Key."""
        return self._k(p, "log")

    def due(self, p: int) -> bytes:
        """Key."""
        return self._k(p, "due")

    def stream(self, s: str) -> bytes:
        """Key."""
        return self._k(self.partition_of(s), "run:" + s)

    def head(self, s: str) -> bytes:
        """Key."""
        return self._k(self.partition_of(s), "head:" + s)

    def ready(self, p: int, q: str) -> bytes:
        """Key."""
        return self._k(p, "ready:" + q)

    def view(self, p: int, q: str) -> bytes:
        """Key."""
        return self._k(p, "view:" + q)

    def blob(self, p: int, q: str) -> bytes:
        """Key."""
        return self._k(p, "blob:" + q)

    def definition(self, d: str) -> bytes:
        """Key."""
        return f"{self.prefix}:def:{d}".encode()
