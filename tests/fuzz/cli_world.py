"""A store and a folder for commands, the same for each: whatever a command does to them, the next finds them new."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import pack
from openagents_json.engine.audit import read_signer
from tests.acceptance.processes import openagents
from tests.conftest import Server
from tests.stores import broken, stores

PARTS = """
from openagents_json import tool


@tool("show")
def show(text: object = None) -> object:
    return {"text": text}


@tool("break")
def broken(text: object = None) -> None:
    raise ValueError("no")
"""
DOCUMENTS: dict[str, dict[str, Any]] = {
    "good": {
        "id": "good",
        "inputs": {"text": {"type": "any"}, "n": {"type": "integer", "default": 1}},
        "steps": [
            {"id": "a", "component": "show", "inputs": {"text": "{{input.text}}"}}
        ],
        "output": "{{a.output}}",
    },
    "waits": {
        "id": "waits",
        "steps": [{"id": "a", "wait_for": {"signal": "go"}}],
        "output": "{{a.output}}",
    },
    "fails": {
        "id": "fails",
        "steps": [{"id": "a", "component": "break"}, {"id": "b", "component": "show"}],
    },
    "wrong": {
        "id": "w w",
        "steps": [{"id": "a", "component": 1, "inputs": {"x": "{{ nope }}"}}],
    },
    "policy": {"archive": {"older_than": "30d"}},
}


class World:
    """Runs that have completed, failed, wait and are paused, published workflows, a schedule, a ledger, and files."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server, self._folder = server, folder / "kept"
        self.where = ["--url", server.url, "--prefix", "w"]
        self._names: dict[str, str] = {}
        (self._folder / "folder").mkdir(parents=True)
        for name, document in DOCUMENTS.items():
            (self._folder / f"{name}.json").write_text(json.dumps(document))
        (self._folder / "parts.py").write_text(PARTS)
        (self._folder / "text.txt").write_text("no JSON")
        components = load([str(self._folder / "parts.py")])
        with Engine.connect(
            server.url, prefix="w", components=components, workers=2, partitions=2
        ) as engine:
            self._fill(engine)
        client = server.look.client
        self._kept = {
            key: (client.pttl(key), client.dump(key))
            for key in client.scan_iter(count=10_000)
        }

    def _fill(self, engine: Engine) -> None:
        key = self._folder / "key"
        assert openagents("audit", "keygen", "-o", str(key)).returncode == 0
        engine.publish(DOCUMENTS["good"])
        engine.publish(DOCUMENTS["fails"])
        self._names["done"] = engine.run(
            DOCUMENTS["good"], {"text": "x"}, labels={"a": "b"}, timeout=60
        ).id
        self._names["failed"] = engine.run(DOCUMENTS["fails"], timeout=60).id
        self._names["waits"] = engine.start(DOCUMENTS["waits"])
        self._names["held"] = engine.start(DOCUMENTS["waits"])
        engine.pause(self._names["held"])
        engine.audit.seal(read_signer(key))
        with (self._folder / "export.zip").open("wb") as file:
            engine.audit.export(file)
        (self._folder / "receipt.json").write_bytes(
            engine.audit.receipt(self._names["done"], 1)
        )
        proofs = engine.audit.proof_bytes(self._names["done"])
        (self._folder / "run.oac").write_bytes(
            pack(engine.core, self._names["done"], actor="ada", proofs=proofs)
        )
        done = openagents(
            "schedules", "create", "nightly", "good", "--cron", "0 3 * * *", *self.where
        )
        assert done.returncode == 0, done.stderr

    @contextmanager
    def restored(self) -> Iterator[Path]:
        """Put the store back as it was, and give a folder with the files, deep enough to stay in."""
        client = self._server.look.client
        pipeline = client.pipeline(transaction=False)
        pipeline.flushall()
        for key, (ttl, dumped) in self._kept.items():
            pipeline.restore(key, max(ttl, 0), dumped, replace=True)
        pipeline.execute()
        with TemporaryDirectory(prefix="oa-fuzz-") as directory:
            folder = Path(directory) / "a" / "b" / "c"
            shutil.copytree(self._folder, folder)
            yield folder

    def named(self, argument: str) -> str:
        """Put the ids of runs in the place of their names."""
        for name, run in self._names.items():
            argument = argument.replace(f"{{{name}}}", run)
        return argument

    def check(self) -> None:
        """Ask the doctor of every store on the server."""
        damages = broken(self._server.look, stores(self._server.look))
        assert not damages, f"the store is not in order: {damages}"
