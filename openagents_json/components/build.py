"""Which build of a component this is: what was given by who deployed it, or else a hash of its code."""

from __future__ import annotations

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Final

LENGTH: Final = 12
"""How many hexadecimal digits of a hash name a build: enough to tell builds of one component apart."""


def build_of(function: Callable[..., Any], cls: type | None = None) -> str:
    """Return a hash of the files in which a component is written: of its function and of its class.

    What they import is not in it. Where there is no file, it is a hash of the compiled function.
    """
    parts = sorted(filter(None, _parts(inspect.unwrap(function), cls)))
    if not parts:
        return ""
    return hashlib.sha256(b"".join(parts)).hexdigest()[:LENGTH]


def _parts(function: Callable[..., Any], cls: type | None) -> Iterator[bytes]:
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        yield _of_file(code.co_filename) or _of_code(code)
    if cls is not None:
        module = sys.modules.get(cls.__module__)
        written_in = getattr(module, "__file__", None)
        if written_in and getattr(code, "co_filename", None) != written_in:
            yield _of_file(written_in)


@functools.lru_cache(maxsize=256)
def _of_file(path: str) -> bytes:
    """Return the hash of a file, once read: what is loaded is what was there then."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except (OSError, ValueError):
        return b""


def _of_code(code: CodeType) -> bytes:
    constants = [
        _of_code(value) if isinstance(value, CodeType) else repr(value).encode()
        for value in code.co_consts
    ]
    names = repr((code.co_names, code.co_varnames)).encode()
    whole = b"\0".join([code.co_code, names, *constants])
    return hashlib.sha256(whole).digest()
