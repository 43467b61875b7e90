"""Receipts, exports and capsules: proofs that need no store, and what was done to them."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.redis.ledger import LedgerStore
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsule_file import Capsule, unpack
from openagents_json.engine.archive.capsule_writer import write
from openagents_json.engine.archive.capsules import pack
from openagents_json.engine.audit import AuditService, read_witness, verify_file
from openagents_json.engine.errors import CapsuleUnreadable
from projections.errors import EvidenceUnreadable
from projections.ledger.proofs.check import check_proof
from projections.ledger.proofs.encoding import proof_data, read_proof
from projections.ledger.signing import new_signer
from tests.conftest import Server
from tests.integration.ledger.ledgers import DOCUMENT, key_file, shout, signer
from tests.property.stores.ledger_double import contents, zipped


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=2, partitions=2
    ) as opened:
        yield opened


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_file(tmp_path)


def sealed(engine: Engine, key: Path, *texts: str) -> list[str]:
    """Run some documents to their ends and seal them."""
    runs = [
        engine.run(DOCUMENT, {"text": text}, timeout=120).id
        for text in texts or ("a", "b", "fail")
    ]
    engine.audit.seal(signer(key))
    return runs


# -- receipts and exports --------------------------------------------------------------------------------


def test_a_receipt_proves_an_event_and_nothing_else(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    [run, *_] = sealed(engine, key)
    mine = signer(key)
    keys = {mine.id: mine.public}
    receipt = json.loads(engine.audit.receipt(run, 4))
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(receipt))
    assert verify_file(path, keys).verified == 1
    for name, value in (
        ("data", "{}"),
        ("actor", "x"),
        ("type", "X"),
        ("version", 5),
        ("stream", "0-x"),
        ("time_ms", 1),
    ):
        path.write_text(
            json.dumps({**receipt, "event": {**receipt["event"], name: value}})
        )
        if name == "version":
            with pytest.raises(EvidenceUnreadable):
                verify_file(path, keys)
        else:
            assert [finding.kind for finding in verify_file(path, keys).findings] == [
                "changed"
            ]
    bare = json.loads(engine.audit.receipt(run, 4, with_payload=False))
    assert bare["event"]["data"] is None
    path.write_text(json.dumps(bare))
    assert verify_file(path, keys).verified == 1
    other = new_signer()
    assert not verify_file(path, {other.id: other.public}).intact


def test_the_proof_of_a_run_survives_as_json_and_covers_its_events(
    engine: Engine, key: Path
) -> None:
    [run, *_] = sealed(engine, key)
    proof = engine.audit.proof(run)
    assert proof is not None
    again = read_proof(json.loads(json.dumps(proof_data(proof))), "here")
    events, partition = (
        engine.audit.stored(run),
        engine.core.store.keys.partition_of(run),
    )
    assert check_proof(
        run, partition, events, again, proof.keys, lambda _: None
    ).verified == len(events)
    gone = check_proof(
        run, partition, [*events[:3], *events[4:]], again, proof.keys, lambda _: None
    )
    assert [(finding.kind, finding.version) for finding in gone.findings] == [
        ("removed", 4)
    ]


def export(engine: Engine, path: Path) -> Path:
    buffer = io.BytesIO()
    engine.audit.export(buffer)
    path.write_bytes(buffer.getvalue())
    return path


def edited(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Write a copy of an export in which a member is another one."""
    out = path.with_name("edited.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            raw = old.read(member)
            new.writestr(member, change(raw) if member.endswith(name) else raw)
    return out


def lines(change: Callable[[list[Any]], Any]) -> Callable[[bytes], bytes]:
    """Make a change of a list of JSON lines; one without lines stays as it is."""

    def apply(raw: bytes) -> bytes:
        items = [json.loads(line) for line in raw.splitlines()]
        if len(items) > 5:
            change(items)
        return b"".join(json.dumps(item).encode() + b"\n" for item in items)

    return apply


def swapped(items: list[Any]) -> None:
    for name in items[1].keys() - {"version"}:
        items[1][name], items[4][name] = items[4][name], items[1][name]


EDITS: dict[str, tuple[Callable[[list[Any]], Any], str]] = {
    "changed": (lambda items: items[2].update(data='{"forged":true}'), "changed"),
    "removed": (lambda items: items.pop(3), "removed"),
    "inserted": (lambda items: items.append({**items[1], "version": 77}), "inserted"),
    "reordered": (swapped, "moved"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_export_verifies_alone_and_shows_what_was_done_to_it(
    engine: Engine, key: Path, tmp_path: Path, edit: str
) -> None:
    sealed(engine, key)
    mine = signer(key)
    keys = {mine.id: mine.public}
    path = export(engine, tmp_path / "ledger.zip")
    assert verify_file(path, keys) == engine.audit.verify(keys)
    change, kind = EDITS[edit]
    audit = verify_file(edited(path, "events.jsonl", lines(change)), keys)
    assert {finding.kind for finding in audit.findings} == {kind}
    assert all(finding.run and finding.version for finding in audit.findings)


class Meanwhile:
    """A ledger's store in which much happens after somebody has looked which streams there are."""

    def __init__(self, store: LedgerStore, happens: Callable[[], object]) -> None:
        self._store, self._happens = store, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def streams(self) -> dict[int, list[str]]:
        by_partition = self._store.streams()
        self._happens()
        return by_partition


def test_a_store_at_work_verifies_and_exports(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    old = sealed(engine, key, *"abcd")

    def happens() -> None:
        sealed(engine, key, *"efgh")
        engine.archive.leave(old.pop(), Departure(str(tmp_path)))
        sealed(engine, key, *"ijkl")

    ledger: Any = Meanwhile(engine.core.ledger, happens)
    core = replace(engine.core, ledger=ledger)
    assert AuditService(core).verify().findings == ()
    path = tmp_path / "ledger.zip"
    with path.open("wb") as file:
        AuditService(core).export(file)
    assert verify_file(path).findings == ()


def test_an_export_without_its_last_epoch_is_found_out(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    sealed(engine, key)
    path = export(engine, tmp_path / "ledger.zip")

    def cut(raw: bytes) -> bytes:
        data = json.loads(raw)
        return json.dumps(
            {**data, "epochs": [], "open_epoch": 1, "open_first": 1, "checkpoint": 0}
        ).encode()

    audit = verify_file(edited(path, "partition.json", cut))
    assert any(
        "known to have been signed" in finding.what for finding in audit.findings
    )


def test_a_damaged_file_is_told_from_a_false_one(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    sealed(engine, key)
    path = export(engine, tmp_path / "ledger.zip")
    raw = path.read_bytes()
    for cut in (10, len(raw) // 2, len(raw) - 10):
        path.write_bytes(raw[:cut])
        with pytest.raises(EvidenceUnreadable):
            verify_file(path)
    path.write_text("{}")
    with pytest.raises(EvidenceUnreadable):
        verify_file(path)
    with pytest.raises(EvidenceUnreadable):
        verify_file(tmp_path / "nowhere")


def test_a_capsule_carries_its_proofs(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    [run, *_] = sealed(engine, key)
    mine, path = signer(key), tmp_path / "run.oac"
    path.write_bytes(
        pack(engine.core, run, actor="me", proofs=engine.audit.proof_bytes(run))
    )
    assert verify_file(path, {mine.id: mine.public}).verified == len(
        engine.history(run)
    )
    other = new_signer()
    assert not verify_file(path, {other.id: other.public}).intact
    capsule = unpack(path.read_bytes())
    forged = replace(capsule.events[1], data=b'{"inputs":{"text":"z"},"step":"one"}')
    path.write_bytes(
        write(replace(capsule, events=(capsule.events[0], forged, *capsule.events[2:])))
    )
    assert [(f.kind, f.version) for f in verify_file(path).findings] == [("changed", 2)]
    path.write_bytes(pack(engine.core, run, actor="me"))
    with pytest.raises(EvidenceUnreadable, match="no proof"):
        verify_file(path)


def capsule_of(engine: Engine, run: str) -> Capsule:
    return unpack(
        pack(engine.core, run, actor="me", proofs=engine.audit.proof_bytes(run))
    )


def test_a_witness_that_cannot_be_heard_is_refused(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    [run] = sealed(engine, key, "a")
    (tmp_path / "run.oac").write_bytes(write(capsule_of(engine, run)))
    (tmp_path / "receipt.json").write_bytes(engine.audit.receipt(run, 1))
    (tmp_path / "witness").write_text(
        "\n".join(json.dumps(x) for x in engine.audit.witness())
    )
    seen = read_witness(tmp_path / "witness")
    assert verify_file(export(engine, tmp_path / "ledger.zip"), witness=seen).intact
    for name in ("run.oac", "receipt.json"):
        with pytest.raises(EvidenceUnreadable, match="a witness tells of whole stores"):
            verify_file(tmp_path / name, witness=seen)
    (tmp_path / "witness").write_text("[" * 200_000)
    with pytest.raises(EvidenceUnreadable):
        read_witness(tmp_path / "witness")


def test_the_payloads_of_a_capsule_are_those_that_were_sealed(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    [run] = sealed(engine, key, "x" * 40_000)
    path, capsule = tmp_path / "run.oac", capsule_of(engine, run)
    path.write_bytes(write(capsule))
    assert verify_file(path).intact
    [sha, *_] = capsule.blobs
    members = {**contents(path.read_bytes()), f"blobs/{sha}": b'"forged"'}
    forged = hashlib.sha256(b'"forged"').hexdigest()
    members["manifest.json"] = members["manifest.json"].replace(
        f':"{sha}"'.encode(), f':"{forged}"'.encode()
    )
    path.write_bytes(zipped(members))
    with pytest.raises(
        CapsuleUnreadable, match=f"payload {sha} of run {run} is another one"
    ):
        verify_file(path)
    path.write_bytes(
        write(
            replace(
                capsule,
                blobs={name: x for name, x in capsule.blobs.items() if name != sha},
            )
        )
    )
    assert {finding.kind for finding in verify_file(path).findings} == {"removed"}


def test_an_event_of_a_capsule_cannot_lose_its_proof_and_be_another(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    [run, *_] = sealed(engine, key)
    path, capsule = tmp_path / "run.oac", capsule_of(engine, run)
    proofs = json.loads(capsule.proofs or b"")
    del proofs["events"]["2"]
    forged = replace(
        capsule.events[1], data=b'{"inputs":{"text":"z"},"step":"one"}', n=10**9
    )
    events = (capsule.events[0], forged, *capsule.events[2:])
    path.write_bytes(
        write(replace(capsule, events=events, proofs=json.dumps(proofs).encode()))
    )
    assert [
        (finding.kind, finding.version) for finding in verify_file(path).findings
    ] == [("inserted", 2)]


def test_a_receipt_shows_no_payload_that_it_does_not_prove(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    [run, *_] = sealed(engine, key)
    path, receipt = tmp_path / "receipt.json", json.loads(engine.audit.receipt(run, 4))
    receipt["proof"]["events"]["4"]["salt"] = ""
    receipt["event"]["data"] = '{"forged":true}'
    path.write_text(json.dumps(receipt))
    assert [finding.kind for finding in verify_file(path).findings] == ["changed"]
    engine.redact(run, "asked for")
    erased = json.loads(engine.audit.receipt(run, 4))
    assert erased["event"]["data"] is None
    path.write_text(json.dumps(erased))
    assert verify_file(path).intact


def test_an_export_cannot_lose_what_was_said_of_it_as_a_whole(
    engine: Engine, key: Path, tmp_path: Path
) -> None:
    while {engine.core.store.keys.partition_of(info.id) for info in engine.runs()} != {
        0,
        1,
    }:
        engine.run(DOCUMENT, {"text": "a"}, timeout=120)
    engine.audit.seal(signer(key))
    path = export(engine, tmp_path / "ledger.zip")

    def silent(raw: bytes) -> bytes:
        return json.dumps(
            {
                **json.loads(raw),
                "statement": "",
                "statement_signature": "",
                "partitions": 1,
            }
        ).encode()

    audit = verify_file(edited(path, "ledger.json", silent))
    assert [finding.kind for finding in audit.findings] == ["ledger"]
