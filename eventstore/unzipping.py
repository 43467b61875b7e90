"""Members of a zip file that others have made: unpacked piece by piece, and never more of them than a limit."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Final

MOST_BYTES: Final = 2 * 1024**3
"""How much is unpacked of one file, unless told otherwise."""

_PIECE: Final = 1024**2


class TooLarge(ValueError):
    """More comes out of a file than is read."""

    def __init__(self, name: str, limit: int) -> None:
        self.name, self.limit = name, limit
        super().__init__(f"with {name}, more than {limit} bytes come out of it, which is the most that is read")


class Unpacking:
    """What is unpacked together and held together: at most `limit` bytes of it.

    What a file says of its own sizes is believed only if it says that it is too large.
    """

    def __init__(self, archive: zipfile.ZipFile, limit: int = MOST_BYTES) -> None:
        self._archive, self._limit, self._left = archive, limit, limit

    def read(self, name: str) -> bytes:
        """Unpack a member.

        Raises TooLarge, KeyError when there is none, and whatever zipfile and zlib raise on damage.
        """
        out = io.BytesIO()
        for piece in self._pieces(name):
            out.write(piece)
        return out.getvalue()

    def lines(self, name: str) -> Iterator[bytes]:
        """Unpack a member line by line, without their ends; all of them count as if they were held."""
        begun: list[bytes] = []
        for piece in self._pieces(name):
            first, *rest = piece.split(b"\n")
            begun.append(first)
            if rest:
                yield b"".join(begun)
                yield from rest[:-1]
                begun = [rest[-1]]
        if any(begun):
            yield b"".join(begun)

    def _pieces(self, name: str) -> Iterator[bytes]:
        info = self._archive.getinfo(name)
        if info.file_size > self._left:
            raise TooLarge(name, self._limit)
        with self._archive.open(info) as file:
            while piece := file.read(min(_PIECE, self._left + 1)):
                self._left -= len(piece)
                if self._left < 0:
                    raise TooLarge(name, self._limit)
                yield piece
