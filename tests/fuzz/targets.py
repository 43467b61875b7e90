"""All that is fuzzed, by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.conftest import serving
from tests.fuzz.arguments import Arguments
from tests.fuzz.campaign import Target
from tests.fuzz.cli_world import World
from tests.fuzz.documents import Documents
from tests.fuzz.evidence import Capsules, Exports, Receipts
from tests.fuzz.expressions import Expressions
from tests.fuzz.imports import Imports

ALONE: Final[Mapping[str, Callable[[], Target]]] = {
    "documents": Documents,
    "expressions": Expressions,
    "capsules": Capsules,
    "exports": Exports,
    "receipts": Receipts,
}
"""What needs no server."""

SERVED: Final[Mapping[str, Callable[[World], Target]]] = {
    "imports": Imports,
    "arguments": Arguments,
}
NAMES: Final = (*ALONE, *SERVED)


@contextmanager
def opened(name: str) -> Iterator[Target]:
    """Return a target, with the server that it may need."""
    if name in ALONE:
        yield ALONE[name]()
        return
    with (
        serving("valkey") as server,
        TemporaryDirectory(prefix="oa-fuzz-") as folder,
        _plain_terminal(),
    ):
        yield SERVED[name](World(server, Path(folder)))


@contextmanager
def _plain_terminal() -> Iterator[None]:
    before = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith("OPENAGENTS_")
    }
    term = os.environ.get("TERM")
    os.environ["TERM"] = "dumb"
    try:
        yield
    finally:
        os.environ.update(before)
        del os.environ["TERM"]
        if term is not None:
            os.environ["TERM"] = term
