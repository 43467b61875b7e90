"""The verifiers of the examples share nothing with the product, and say the same of what it writes."""

from __future__ import annotations

import ast
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsule_file import unpack
from openagents_json.engine.archive.capsules import adopt, pack
from openagents_json.engine.audit import verify_file
from projections.errors import EvidenceUnreadable
from projections.ledger.signing import Signer, new_signer, public_pem
from tests.acceptance.processes import ROOT
from tests.conftest import Server
from tests.integration.ledger.exports import FORGED, File
from tests.integration.ledger.ledgers import DOCUMENT, shout

ALLOWED = {"hashlib", "json", "sys", "zipfile", "pathlib", "cryptography"}
LINES = 125
EXPORT, RECEIPT = (
    ROOT / "examples" / "verify_export.py",
    ROOT / "examples" / "verify_receipt.py",
)


@dataclass(frozen=True)
class Case:
    """A store in which all has happened that can, with the two keys that it was sealed with, one after the other."""

    engine: Engine
    keys: tuple[Signer, Signer]
    folder: Path
    runs: dict[str, str]

    def trusted(self, *signers: Signer) -> list[str]:
        """Write public keys for a verifier."""
        paths = [self.folder / f"{signer.id}.pub" for signer in signers or self.keys]
        for path, signer in zip(paths, signers or self.keys, strict=True):
            path.write_bytes(public_pem(signer.public))
        return [str(path) for path in paths]

    def receipt(self, run: str, version: int, **how: Any) -> Path:
        """Write a receipt."""
        path = self.folder / "receipt.json"
        path.write_bytes(self.engine.audit.receipt(run, version, **how))
        return path

    def agree(self, program: Path, file: Path, *signers: Signer) -> bool:
        """Ask the product and the program whether a file is proved; they have to say the same."""
        keys = {signer.id: signer.public for signer in signers or self.keys}
        try:
            ours = verify_file(file, keys).intact
        except EvidenceUnreadable:
            ours = False
        command = [
            sys.executable,
            "-I",
            str(program),
            str(file),
            *self.trusted(*signers),
        ]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True)
        assert (done.returncode == 0) == ours == bool(done.stdout), (
            ours,
            done.stdout,
            done.stderr,
        )
        return ours


@pytest.fixture
def case(server: Server, tmp_path: Path) -> Iterator[Case]:
    first, second = new_signer(), new_signer()
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=1, partitions=1
    ) as elsewhere:
        foreign = elsewhere.run(DOCUMENT, {"text": "from elsewhere"}, timeout=120).id
        arriving = unpack(pack(elsewhere.core, foreign, actor="me"))
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=2, partitions=2
    ) as engine:
        texts = {
            "plain": 'é\U0001f600\u2028"\\\t',
            "large": "x" * 40_000,
            "failed": "fail",
            "erased": "a",
            "gone": "b",
        }
        runs = {
            name: engine.run(DOCUMENT, {"text": text}, timeout=120).id
            for name, text in texts.items()
        }
        runs["imported"] = adopt(engine.core, arriving, actor="me").run
        engine.audit.seal(first)
        engine.redact(runs["erased"], "a part of it", steps=["one"])
        engine.redact(runs["imported"], "all of it")
        engine.audit.seal(first)
        engine.redact(runs["erased"], "the rest", labels=True)
        engine.archive.leave(runs["gone"], Departure(str(tmp_path)))
        engine.audit.seal(second)
        runs["later"] = engine.run(
            DOCUMENT, {"text": "after the key was changed"}, timeout=20
        ).id
        engine.audit.seal(second)
        engine.run(DOCUMENT, {"text": "not sealed yet"}, timeout=120)
        yield Case(engine, (first, second), tmp_path, runs)


@pytest.mark.parametrize("program", [EXPORT, RECEIPT], ids=lambda program: program.stem)
def test_a_verifier_is_short_and_imports_nothing_of_ours(program: Path) -> None:
    text = program.read_text()
    tree = ast.parse(text)
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert {name.partition(".")[0] for name in imported} <= ALLOWED
    code = text.removeprefix(
        '"""' + str(ast.get_docstring(tree, clean=False)) + '"""'
    ).splitlines()
    assert (
        len(
            [line for line in code if line.strip() and not line.strip().startswith("#")]
        )
        <= LINES
    )


def test_exports_of_all_kinds_are_proved(case: Case) -> None:
    file = opened(case, "plain")
    assert case.agree(EXPORT, file.path)
    assert not case.agree(
        EXPORT, file.path, case.keys[0]
    )  # one of two keys is not trusted
    assert not case.agree(EXPORT, file.path, new_signer())
    audit = verify_file(file.path)
    assert (
        audit.erased > 8,
        audit.archived > 4,
        audit.imported > 4,
        audit.unsealed,
    ) == (True, True, True, 8)


def event(file: File, run: str, **values: Any) -> None:
    """Put other values into the second event of a run."""
    file.event(run, 2).update(values)


TAMPERINGS: dict[str, tuple[str, Callable[[File, str], object]]] = {
    "data": ("plain", lambda file, run: event(file, run, data=FORGED)),
    "actor": ("plain", lambda file, run: event(file, run, actor="somebody")),
    "time": ("plain", lambda file, run: event(file, run, time_ms=1)),
    "run": ("plain", lambda file, run: event(file, run, stream="0-another")),
    "metadata": ("plain", lambda file, run: event(file, run, metadata="{}")),
    "data under the second key": (
        "later",
        lambda file, run: event(file, run, data=FORGED),
    ),
    "data of an erased event": (
        "erased",
        lambda file, run: event(file, run, data=FORGED),
    ),
    "the mark of an erased event": (
        "imported",
        lambda file, run: event(file, run, metadata=""),
    ),
    "an event removed": (
        "plain",
        lambda file, run: file.events.remove(file.event(run, 2)),
    ),
    "an event doubled": (
        "plain",
        lambda file, run: file.events.append(file.event(run, 2)),
    ),
    "erased without a record": (
        "plain",
        lambda file, run: file.erase(file.event(run, 2), FORGED),
    ),
    "root": ("plain", lambda file, run: file.put_record("root", "0" * 64)),
    "chain": ("plain", lambda file, run: file.put_record("chain", "0" * 64)),
    "previous": ("plain", lambda file, run: file.put_record("previous", "0" * 64)),
    "another key": ("plain", lambda file, run: file.put_record("key", "0" * 16)),
    "a signature": (
        "plain",
        lambda file, run: file.partition["epochs"][0].__setitem__(2, "0" * 128),
    ),
    "leaf": ("plain", lambda file, run: file.flip("leaves/1")),
    "salt": ("plain", lambda file, run: file.flip("salts/1")),
    "payload": ("large", lambda file, run: file.change_payloads()),
    "last epoch": ("later", lambda file, run: file.cut_epoch()),
    "statement": (
        "plain",
        lambda file, run: file.change_whole(statement_signature="0" * 128),
    ),
    "ledger": ("plain", lambda file, run: file.change_whole(ledger="another")),
    "partitions": ("plain", lambda file, run: file.change_whole(partitions=0)),
}


def opened(case: Case, run: str) -> File:
    """Open an export of today at the partition of a run."""
    return File(
        case.engine,
        case.folder / "ledger.zip",
        case.engine.core.store.keys.partition_of(case.runs[run]),
    )


def test_what_was_done_to_an_export_is_refused_by_both(case: Case) -> None:
    for name, (run, tamper) in TAMPERINGS.items():
        file = opened(case, run)
        tamper(file, case.runs[run])
        assert not case.agree(EXPORT, file.save()), name


def test_records_that_nobody_has_signed_prove_nothing_to_either(case: Case) -> None:
    file, run = opened(case, "plain"), case.runs["plain"]
    stored = file.event(run, 2)
    named = file.erase(stored, FORGED)
    file.add(stored, run, 99, "RunRedacted", {"how": "erased", "erased": [named]})
    assert not case.agree(EXPORT, file.save())
    file = opened(case, "plain")
    stored = file.event(run, 2)
    file.events.remove(stored)
    positions = [[stored["position"], stored["position"]]]
    file.add(
        stored,
        f"{file.at}-archive",
        99,
        "RunDeleted",
        {"run": run, "positions": positions},
    )
    assert not case.agree(EXPORT, file.save())


def test_receipts_of_all_kinds_are_proved(case: Case) -> None:
    for name, version in (
        ("plain", 1),
        ("plain", 8),
        ("large", 2),
        ("failed", 4),
        ("erased", 2),
        ("imported", 3),
    ):
        assert case.agree(RECEIPT, case.receipt(case.runs[name], version)), name
        assert case.agree(
            RECEIPT, case.receipt(case.runs[name], version, with_payload=False)
        ), name
    path = case.receipt(case.runs["later"], 3)
    assert case.agree(RECEIPT, path, case.keys[1])
    assert not case.agree(RECEIPT, path, case.keys[0])


def test_what_was_done_to_a_receipt_is_refused_by_both(case: Case) -> None:
    version = "4"
    receipt = json.loads(case.receipt(case.runs["plain"], int(version)).read_bytes())
    event, proof = receipt["event"], receipt["proof"]
    inclusion, [text, signature] = proof["events"][version], proof["records"][0]
    assert len(inclusion["path"]) > 1

    def placed(**other: Any) -> dict[str, Any]:
        return {
            **receipt,
            "proof": {**proof, "events": {version: {**inclusion, **other}}},
        }

    def recorded(text: str, signature: str) -> dict[str, Any]:
        return {**receipt, "proof": {**proof, "records": [[text, signature]]}}

    record = json.loads(text)
    forged = json.dumps(
        {**record, "root": "0" * 64}, sort_keys=True, separators=(",", ":")
    )
    stranger = new_signer()
    own = json.dumps(
        {**record, "key": stranger.id}, sort_keys=True, separators=(",", ":")
    )
    changed = [
        {
            **receipt,
            "event": {**event, name: "x" if isinstance(event[name], str) else 1},
        }
        for name in event
    ]
    changed += [
        {**receipt, "partition": receipt["partition"] + 1},
        placed(path=inclusion["path"][:-1]),
        placed(path=[*inclusion["path"], "0" * 64]),
        placed(path=["0" * 64, *inclusion["path"][1:]]),
        placed(salt="0" * 32),
        placed(salt="", commitment="0" * 64),
        placed(position=inclusion["position"] + 1),
        recorded(forged, signature),
        recorded(text, "0" * 128),
        recorded(own, stranger.sign(own.encode()).hex()),
    ]
    path = case.folder / "forged.json"
    for item in changed:
        path.write_text(json.dumps(item))
        assert not case.agree(RECEIPT, path), item
    shown = json.dumps(receipt).replace('"actor":', '"actor": "somebody", "actor":', 1)
    path.write_text(shown)
    assert not case.agree(RECEIPT, path)
    raw = base64.b64encode(b"{}").decode()
    path.write_text(
        json.dumps({**receipt, "event": {**event, "data": FORGED, "data_base64": raw}})
    )
    assert not case.agree(RECEIPT, path)
