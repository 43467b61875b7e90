"""What somebody who holds an export, a receipt or a capsule can write into it, with all that is in it to hand."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from eventstore import codec
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsule_file import unpack
from openagents_json.engine.archive.capsule_writer import write
from openagents_json.engine.archive.capsules import adopt, pack
from openagents_json.engine.audit import verify_file
from projections.errors import EvidenceUnreadable
from projections.ledger.findings import ERASED
from projections.ledger.signing import Signer, new_signer
from tests.conftest import Server
from tests.integration.ledger.exports import FORGED, File
from tests.integration.ledger.ledgers import DOCUMENT, Hand, shout

NEXT = 10**6


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], workers=2, partitions=1
    ) as opened:
        yield opened


@pytest.fixture
def key() -> Signer:
    return new_signer()


def ran(engine: Engine, key: Signer, text: str = "a") -> str:
    """Run the document to its end and seal it."""
    run = engine.run(DOCUMENT, {"text": text}, timeout=120).id
    engine.audit.seal(key)
    return run


def test_who_holds_an_export_cannot_erase_what_is_in_it(
    engine: Engine, key: Signer, tmp_path: Path
) -> None:
    run = ran(engine, key)
    file, keys = File(engine, tmp_path / "ledger.zip"), {key.id: key.public}
    event, last = file.event(run, 2), len(engine.history(run))
    named = file.erase(event, FORGED)
    file.add(event, run, last + 1, "RunRedacted", {"how": "erased", "erased": [named]})
    audit = verify_file(file.save(), keys)
    assert (audit.intact, audit.unproved) == (False, 1)
    assert next(audit.lines()).startswith("not proved: ")


def test_who_holds_an_export_cannot_archive_what_is_in_it(
    engine: Engine, key: Signer, tmp_path: Path
) -> None:
    run = ran(engine, key)
    file = File(engine, tmp_path / "ledger.zip")
    event = file.event(run, 3)
    file.events.remove(event)
    file.add(
        event,
        "0-archive",
        1,
        "RunDeleted",
        {"run": run, "positions": [[event["position"], event["position"]]]},
    )
    audit = verify_file(file.save(), {key.id: key.public})
    assert (audit.intact, audit.archived, audit.unproved) == (False, 1, 1)


def test_who_holds_a_capsule_cannot_erase_what_is_in_it(
    engine: Engine, key: Signer, tmp_path: Path
) -> None:
    run, path = ran(engine, key), tmp_path / "run.oac"
    capsule = unpack(
        pack(engine.core, run, actor="me", proofs=engine.audit.proof_bytes(run))
    )
    proofs = json.loads(capsule.proofs or b"")
    first, second, *rest = capsule.events
    salt = bytes.fromhex(proofs["events"]["2"]["salt"])
    text = len(second.data).to_bytes(8, "big") + second.data + second.metadata
    committed = hashlib.sha256(salt + text).hexdigest()
    proofs["events"]["2"] |= {"salt": "", "commitment": committed}
    forged = codec.encode(
        {
            "how": "erased",
            "erased": [[2, hashlib.sha256(FORGED.encode()).hexdigest(), committed]],
        }
    )
    record = replace(
        rest[-1],
        version=rest[-1].version + 1,
        n=NEXT,
        type="RunRedacted",
        data=forged,
        commit="c",
    )
    events = (first, replace(second, data=FORGED.encode()), *rest, record)
    manifest = {**capsule.manifest, "events": len(events)}
    path.write_bytes(
        write(
            replace(
                capsule,
                manifest=manifest,
                events=events,
                proofs=json.dumps(proofs).encode(),
            )
        )
    )
    audit = verify_file(path, {key.id: key.public})
    assert audit.findings == ()
    assert (audit.intact, audit.erased, audit.unproved) == (False, 1, 1)


def test_what_is_erased_and_signed_is_proved_by_a_file(
    engine: Engine, key: Signer, tmp_path: Path
) -> None:
    run, keys = ran(engine, key), {key.id: key.public}
    engine.redact(run, "asked for")
    store, file = (
        engine.audit.verify(keys),
        verify_file(File(engine, tmp_path / "early.zip").path, keys),
    )
    assert store.unproved == file.unproved > 0
    assert (store.intact, file.intact) == (
        True,
        False,
    )  # who can write to the store can erase, on record
    engine.audit.seal(key)
    audit = verify_file(File(engine, tmp_path / "ledger.zip").path, keys)
    assert (audit.intact, audit.unproved) == (True, 0)
    (tmp_path / "run.oac").write_bytes(
        pack(engine.core, run, actor="me", proofs=engine.audit.proof_bytes(run))
    )
    assert verify_file(tmp_path / "run.oac", keys).intact


def test_an_archived_event_does_not_come_back_as_another(
    engine: Engine, key: Signer, tmp_path: Path
) -> None:
    run = ran(engine, key)
    before = File(engine, tmp_path / "before.zip")
    event = before.event(run, 2)
    engine.archive.leave(run, Departure(str(tmp_path)))
    engine.audit.seal(key)
    file = File(engine, tmp_path / "ledger.zip")
    assert verify_file(file.path, {key.id: key.public}).intact
    file.partition["erased"][str(event["position"])] = before.commitment(event)
    file.events.append({**event, "data": FORGED})
    assert ERASED in {finding.kind for finding in verify_file(file.save()).findings}


def test_an_event_that_is_erased_keeps_the_mark_of_where_it_was_written(
    engine: Engine, server: Server, key: Signer
) -> None:
    run = engine.run(DOCUMENT, {"text": "a"}, timeout=120).id
    raw = pack(engine.core, run, actor="me")
    with Engine.connect(
        server.url, prefix=server.prefix(), components=[shout], partitions=1
    ) as other:
        adopt(other.core, unpack(raw), actor="me")
        other.audit.seal(key)
        other.redact(run, "asked for")
        other.audit.seal(key)
        assert (other.audit.verify().intact, other.audit.verify().imported > 1) == (
            True,
            True,
        )
        Hand(server, other).change(run, 2, x=b"{}")
        assert {
            (finding.kind, finding.version) for finding in other.audit.verify().findings
        } == {(ERASED, 2)}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"actor":', '"actor": "somebody", "actor":', 1),
        lambda text: text.replace(
            '"data":',
            f'"data_base64": "{base64.b64encode(b"{}").decode()}", "data":',
            1,
        ),
    ],
    ids=["a name twice", "data twice"],
)
def test_a_receipt_does_not_show_another_value_than_it_proves(
    engine: Engine, key: Signer, tmp_path: Path, change: Callable[[str], str]
) -> None:
    run, path = ran(engine, key), tmp_path / "receipt.json"
    receipt = engine.audit.receipt(run, 2).decode()
    path.write_text(change(receipt))
    assert path.read_text() != receipt
    with pytest.raises(EvidenceUnreadable, match="twice"):
        verify_file(path, {key.id: key.public})


def test_what_is_no_list_in_a_record_that_was_made_up_breaks_no_check(
    engine: Engine, key: Signer, tmp_path: Path
) -> None:
    run = ran(engine, key)
    file = File(engine, tmp_path / "ledger.zip")
    event, last = file.event(run, 2), len(engine.history(run))
    file.add(event, run, last + 1, "RunRedacted", {"how": "erased", "erased": 5})
    file.add(event, "0-archive", 1, "RunDeleted", {"run": run, "positions": 5})
    assert verify_file(file.save(), {key.id: key.public}).unsealed == 2
