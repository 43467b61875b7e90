"""Make the kept capsules, exports and receipts anew: `python -m tests.fuzz.make_evidence`.

Those that are there stay readable for ever, so this is for new kinds of content, not for new versions. The private keys
are forgotten: nobody can sign anything else with them.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from openagents_json.engine import Engine
from openagents_json.engine.archive.capsules import pack
from openagents_json.engine.audit import read_signer
from tests.acceptance.processes import openagents
from tests.conftest import serving
from tests.fuzz.campaign import SEEDS
from tests.fuzz.evidence import KEYS

ECHO: dict[str, Any] = {
    "id": "told",
    "inputs": {"text": {"type": "any"}},
    "steps": [
        {"id": "one", "component": "echo", "inputs": {"value": "{{input.text}}"}},
        {
            "id": "two",
            "component": "echo",
            "inputs": {"value": "{{one.output}}"},
            "depends_on": ["one"],
        },
    ],
    "output": "{{two.output}}",
}
WAITS: dict[str, Any] = {
    "id": "waits",
    "steps": [
        {"id": "a", "component": "echo", "inputs": {"value": [1]}},
        {"id": "go", "wait_for": {"signal": "go"}},
    ],
    "output": "{{go.output}}",
}
FAILS: dict[str, Any] = {
    "id": "fails",
    "inputs": {"n": {"type": "any", "default": [1, 0]}},
    "steps": [
        {
            "id": "each",
            "foreach": "{{input.n}}",
            "steps": [{"id": "in", "component": "echo", "inputs": {"value": 1}}],
        },
        {"id": "no", "terminate": {"status": "failure", "output": "no"}},
    ],
}


def main() -> None:
    """Run a few workflows on a server of its own, seal and erase, and write the files."""
    with TemporaryDirectory() as folder, serving("valkey") as server:
        keys = [Path(folder) / f"{name}.key" for name in ("first", "second")]
        KEYS.mkdir(exist_ok=True)
        for key in keys:
            assert openagents("audit", "keygen", "-o", str(key)).returncode == 0
            (KEYS / f"{key.stem}.pub").write_bytes(Path(f"{key}.pub").read_bytes())
        with Engine.connect(
            server.url, prefix="kept", partitions=2, workers=2, actor="ada"
        ) as engine:
            _fill(engine, keys)


def _fill(engine: Engine, keys: list[Path]) -> None:
    first, second = map(read_signer, keys)
    plain = engine.run(
        ECHO, {"text": "h\u00e9llo"}, labels={"team": "a"}, timeout=60
    ).id
    large = engine.run(ECHO, {"text": "x" * 40_000}, timeout=60).id
    gone = engine.run(ECHO, {"text": "to be erased"}, timeout=60).id
    failed = engine.run(FAILS, {}, timeout=60).id
    waits = engine.start(WAITS, {})
    engine.audit.seal(first)
    engine.redact(gone, reason="asked for")
    engine.pause(waits, reason="is open when it is written")
    engine.audit.seal(second)  # from here on with another key
    engine.resume(waits, reason="not sealed yet")
    for name, run in (
        ("plain", plain),
        ("large", large),
        ("gone", gone),
        ("failed", failed),
        ("open", waits),
    ):
        raw = pack(engine.core, run, actor="ada", proofs=engine.audit.proof_bytes(run))
        _write("capsules", f"whole-{name}.oac", raw)
    for name, run, version in (
        ("plain", plain, 1),
        ("large", large, 2),
        ("gone", gone, 2),
        ("open", waits, 1),
    ):
        _write("receipts", f"whole-{name}.json", engine.audit.receipt(run, version))
    _write(
        "receipts",
        "whole-bare.json",
        engine.audit.receipt(plain, 2, with_payload=False),
    )
    engine.audit.seal(second)
    path = SEEDS / "exports" / "whole.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        engine.audit.export(file)
    print(json.dumps(engine.audit.witness()))


def _write(kind: str, name: str, raw: bytes) -> None:
    folder = SEEDS / kind
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(raw)


if __name__ == "__main__":
    main()
