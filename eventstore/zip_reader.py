"""Members of a zip file that others have made: unpacked piece by piece, and never more of them than a limit."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Final

from eventstore.errors import TooLarge

MOST_BYTES: Final = 2 * 1024**3
"""How much is unpacked of one file, unless told otherwise."""

MOST_LINE: Final = 64 * 1024**2
"""How long a line may be: an event with all that it carries itself."""

DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What zipfile, zlib and whoever reads the members raise on a file that others have damaged, or made up."""

_PIECE: Final = 1024**2


class Unpacking:
    """What is unpacked together and held together: at most `limit` bytes of it.

    What a file says of its own sizes is believed only if it says that it is too large.
    """

    def __init__(self, archive: zipfile.ZipFile, limit: int = MOST_BYTES) -> None:
        self._archive = archive
        self._limit = limit
        self._left = limit

    def read(self, name: str) -> bytes:
        """Unpack a member.

        Raises TooLarge, KeyError when there is none, and whatever zipfile and zlib raise on damage.
        """
        out = io.BytesIO()
        for piece in self.pieces(name):
            out.write(piece)
        return out.getvalue()

    def lines(self, name: str, most: int = MOST_LINE) -> Iterator[bytes]:
        """Unpack a member line by line, without their ends; all of them count as if they were held.

        A line has at most `most` bytes, and a piece more. Raises as `read` does.
        """
        begun: list[bytes] = []
        size = 0
        for piece in self.pieces(name):
            first, *rest = piece.split(b"\n")
            begun.append(first)
            size = len(rest[-1]) if rest else size + len(first)
            if size > most:
                raise TooLarge(f"a line of {name}", most)
            if rest:
                yield b"".join(begun)
                yield from rest[:-1]
                begun = [rest[-1]]
        if any(begun):
            yield b"".join(begun)

    def pieces(self, name: str) -> Iterator[bytes]:
        """Unpack a member piece by piece; all of them count as if they were held.

        Raises as `read` does.
        """
        info = self._archive.getinfo(name)
        if info.file_size > self._left:
            raise TooLarge(name, self._limit)
        with self._archive.open(info) as file:
            while piece := file.read(min(_PIECE, self._left + 1)):
                self._left -= len(piece)
                if self._left < 0:
                    raise TooLarge(name, self._limit)
                yield piece
