"""Runs that leave a store while others look at them, or come into another one with their keys and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from executor.errors import DamagedPayload, EncryptionError, InvalidKey, KeyMissing
from executor.histories.shredding import adopt_key
from openagents_json.engine import Engine
from openagents_json.engine.answers.lists import RunPage
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import Capsule, adopt, pack, unpack
from openagents_json.engine.archive.promotion import Move, promote
from openagents_json.engine.archive.stepping import Steps
from openagents_json.engine.inspection.explain import explain
from openagents_json.engine.inspection.queries import Queries
from openagents_json.workflow.errors import Rejected
from tests.conftest import Server, wait_for
from tests.integration.secrecy.encrypted import (
    MARK,
    NEW,
    OLD,
    SIMPLE,
    UNDONE,
    places_of,
    registry,
)

WAITING: dict[str, Any] = {
    "id": "waiting",
    "inputs": {"x": {"type": "any", "required": True}},
    "steps": [
        {"id": "ok", "wait_for": {"signal": "go"}},
        {"id": "a", "component": "echo", "inputs": {"x": "{{input.x}}"}},
    ],
    "output": "{{a.output.got}}",
}
Stores = Callable[..., Engine]


@pytest.fixture
def stores(server: Server) -> Iterator[Stores]:
    engines: list[Engine] = []

    def begin(*keys: str, partitions: int = 4, workers: int = 2) -> Engine:
        options: dict[str, Any] = {
            "components": registry(),
            "workers": workers,
            "encryption_keys": keys,
        }
        engines.append(
            Engine.connect(
                server.url, prefix=server.prefix(), partitions=partitions, **options
            )
        )
        return engines[-1]

    yield begin
    for engine in engines:
        assert engine.doctor() == []
        engine.close()


def waiting(engine: Engine) -> str:
    run = engine.start(WAITING, {"x": MARK})
    wait_for(lambda: [step.status for step in engine.state(run).steps] == ["active"])
    return run


def packed(engine: Engine, run: str) -> Capsule:
    return unpack(pack(engine.core, run, actor="test"))


def take_key(run: str, source: Engine, target: Engine) -> None:
    key = source.core.keyring.export_key(run)
    assert key is not None
    target.core.keyring.adopt_key(run, key)


def test_an_open_run_does_not_go_on_where_its_key_is_not(stores: Stores) -> None:
    here, there = stores(OLD), stores(NEW, partitions=6)
    run = waiting(here)
    capsule = packed(here, run)
    with pytest.raises(KeyMissing, match="adopt it from the store"):
        adopt(there.core, capsule, actor="test")
    assert there.core.store.heads([run]) == [None]
    take_key(run, here, there)
    assert adopt(there.core, capsule, actor="test").changed
    there.signal(run, "go")
    assert there.wait(run, timeout=120).output == MARK
    assert places_of(there) == set()


def test_an_encrypted_run_is_promoted_where_its_key_is(stores: Stores) -> None:
    here, there = stores(OLD), stores(NEW, partitions=6)
    run = waiting(here)
    with pytest.raises(EncryptionError):
        promote(Move(here, there, run))
    assert here.state(run).status == "running"
    take_key(run, here, there)
    promote(Move(here, there, run))
    there.signal(run, "go")
    assert there.wait(run, timeout=120).output == MARK


def test_a_closed_encrypted_run_is_read_as_soon_as_its_key_is_there(
    stores: Stores,
) -> None:
    here, there, blind = stores(OLD), stores(NEW, partitions=6), stores()
    run = here.run(SIMPLE, {"x": MARK}, timeout=120).id
    for engine in (there, blind):
        assert adopt(engine.core, packed(here, run), actor="test").status == "completed"
        with pytest.raises(EncryptionError):
            engine.state(run)
    take_key(run, here, there)
    assert there.state(run).output == MARK


def test_a_shredded_run_is_stepped_through_without_its_payloads(stores: Stores) -> None:
    here, there = stores(OLD), stores(NEW)
    run = here.run(SIMPLE, {"x": MARK}, timeout=120).id
    here.shred(run)
    steps = Steps(packed(here, run))
    assert steps.shown(len(steps)).status == "completed"
    assert steps.shown(len(steps)).output is None
    adopt(there.core, packed(here, run), actor="test")
    assert there.state(run).output is None
    with pytest.raises(Rejected):
        there.retry(run, step="a")
    with pytest.raises(Rejected):
        there.replay.fork(run, 2)


def test_a_run_is_redacted_in_part_taken_along_and_shredded(stores: Stores) -> None:
    here, there = stores(OLD), stores(NEW)
    run = here.start(UNDONE, {"x": MARK})
    assert here.wait(run, timeout=120).status == "failed"
    here.redact(run, "r", steps=("a",))
    assert here.state(run).inputs == {"x": MARK}
    adopt(there.core, packed(here, run), actor="test")
    take_key(run, here, there)
    assert there.state(run).inputs == {"x": MARK}
    with pytest.raises(Rejected):
        there.retry(run)
    here.redact(run, "r")
    assert here.state(run).inputs == {}
    here.shred(run)
    assert here.state(run).inputs == {}


def test_an_older_copy_of_an_archived_run_does_not_come_in_and_go_on_again(
    stores: Stores, tmp_path: Path
) -> None:
    here, there = stores(), stores(partitions=6)
    run = waiting(here)
    promote(Move(here, there, run))
    older = packed(there, run)
    there.signal(run, "go")
    assert there.wait(run, timeout=120).status == "completed"
    there.archive.leave(run, Departure(str(tmp_path)))
    for again in (
        lambda: promote(Move(here, there, run)),
        lambda: adopt(there.core, older, actor="test"),
    ):
        with pytest.raises(Rejected, match="is in the archive of this store"):
            again()
    assert there.core.store.heads([run]) == [None]
    assert there.archive.restore(run) == "completed"
    assert promote(Move(here, there, run)).status == "completed"
    assert not adopt(there.core, older, actor="test").changed


def test_the_key_of_an_archived_run_is_not_replaced(
    stores: Stores, tmp_path: Path
) -> None:
    here = stores(OLD)
    run = here.run(SIMPLE, {"x": MARK}, timeout=120).id
    here.archive.leave(run, Departure(str(tmp_path)))
    with pytest.raises(InvalidKey):
        adopt_key(here.core.handler, run, bytes(32))
    assert here.archive.restore(run) == "completed"
    assert here.state(run).output == MARK


def test_a_wrong_key_that_was_kept_makes_way_for_the_right_one(stores: Stores) -> None:
    here, there = stores(OLD), stores(NEW)
    run = waiting(here)
    key = here.core.keyring.export_key(run)
    assert key is not None
    adopt_key(there.core.handler, run, bytes(32))
    with pytest.raises(DamagedPayload):
        adopt(there.core, packed(here, run), actor="test")
    adopt_key(there.core.handler, run, key)
    assert adopt(there.core, packed(here, run), actor="test").changed
    with pytest.raises(InvalidKey, match="does not open the run"):
        adopt_key(there.core.handler, run, bytes(32))
    assert there.state(run).inputs == {"x": MARK}


def test_a_run_is_explained_while_those_beside_it_leave(
    stores: Stores, tmp_path: Path
) -> None:
    engine = stores()
    failed = engine.start(UNDONE, {"x": 1})
    near = engine.start(UNDONE, {"x": "mended"})
    assert [engine.wait(run, timeout=120).status for run in (failed, near)] == [
        "failed",
        "completed",
    ]

    class Leaving(Queries):
        """Views of which what they show leaves the store at once."""

        def runs(self, *chosen: Any, **options: Any) -> RunPage:
            page = super().runs(*chosen, **options)
            for row in page.items:
                engine.archive.leave(row.id, Departure(str(tmp_path / "archive")))
            return page

    reads = Leaving(engine.views.views, engine.core.store, engine.core.directory)
    explanation = explain(failed, engine.replay, reads)
    assert (explanation.status, explanation.reference) == ("failed", "")
    assert engine.archive.restore(near) == "completed"
