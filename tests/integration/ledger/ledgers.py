"""A store with a sealed ledger, and what somebody with access to its server could do to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from openagents_json import tool
from openagents_json.engine import Engine
from projections.ledger.signing import Signer, load_signer, new_signer
from tests.conftest import Server


@tool("shout")
def shout(text: str = "") -> str:
    if text == "fail":
        raise ValueError(f"cannot shout {text!r}")
    return text.upper()


DOCUMENT: dict[str, Any] = {
    "id": "shouting",
    "inputs": {"text": {"type": "string"}},
    "steps": [
        {"id": "one", "component": "shout", "inputs": {"text": "{{input.text}}"}},
        {"id": "two", "component": "shout", "inputs": {"text": "{{one.output}}!"}},
    ],
    "output": {"text": "{{two.output}}"},
}

Open = Callable[..., Engine]


def opening(server: Server) -> Iterator[Open]:
    """Return a way to open engines on one store, whose log and views have to be whole at the end."""
    prefix, engines = server.prefix(), list[Engine]()

    def begin(**options: Any) -> Engine:
        defaults = {"components": [shout], "workers": 2, "partitions": 2}
        engines.append(
            Engine.connect(server.url, prefix=prefix, **{**defaults, **options})
        )
        return engines[-1]

    yield begin
    look = begin(workers=0)
    assert look.doctor() == []
    assert [
        drift for name in look.views.views.names() for drift in look.views.verify(name)
    ] == []
    for engine in engines:
        engine.close()


def ran(engine: Engine, *texts: str, **labels: str) -> list[str]:
    """Run the document to its end with each text."""
    return [
        engine.run(DOCUMENT, {"text": text}, timeout=120, labels=labels).id
        for text in texts
    ]


def key_file(folder: Path) -> Path:
    """Write a private key."""
    path = folder / "audit.key"
    path.write_bytes(new_signer().private_pem())
    return path


def signer(path: Path) -> Signer:
    return load_signer(path.read_bytes(), str(path))


class Hand:
    """Somebody who writes to the server directly."""

    def __init__(self, server: Server, engine: Engine) -> None:
        self.redis: Any = server.connect().client
        self.keys, self._prefix = engine.core.store.keys, engine.core.store.keys.prefix

    def entries(self, run: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Return the entries of a run."""
        raw = self.redis.execute_command(b"XRANGE", self.keys.stream(run), "-", "+")
        return [
            (entry[0], dict(zip(entry[1][::2], entry[1][1::2], strict=True)))
            for entry in raw
        ]

    def rewrite(
        self, run: str, entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]
    ) -> None:
        """Put other entries in the place of those of a run."""
        name = self.keys.stream(run)
        self.redis.execute_command(b"DEL", name)
        for identity, fields in entries:
            flat = [x for pair in fields.items() for x in pair]
            self.redis.execute_command(b"XADD", name, identity, *flat)

    def change(self, run: str, version: int, **fields: bytes) -> None:
        """Change fields of an event."""
        changed = {name.encode(): value for name, value in fields.items()}
        entry_id = f"{version}-0".encode()
        self.rewrite(
            run,
            [
                (i, {**f, **changed} if i == entry_id else f)
                for i, f in self.entries(run)
            ],
        )

    def remove(self, run: str, version: int) -> None:
        """Remove an event."""
        self.redis.execute_command(b"XDEL", self.keys.stream(run), f"{version}-0")

    def swap(self, run: str, one: int, other: int) -> None:
        """Let two events change places, all but their ids."""
        entries_by_version = dict(self.entries(run))
        first, second = f"{one}-0".encode(), f"{other}-0".encode()
        entries_by_version[first], entries_by_version[second] = (
            entries_by_version[second],
            entries_by_version[first],
        )
        self.rewrite(
            run,
            sorted(
                entries_by_version.items(), key=lambda pair: int(pair[0].split(b"-")[0])
            ),
        )
