"""What must run once is done under a lease: who was paused for longer than that is refused by the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventstore.errors import LockLost, LockTaken
from eventstore.event import Recorded
from eventstore.keys import Keyspace
from eventstore.redis.leases.store import LeaseStore
from eventstore.redis.views import RedisViewStore
from openagents_json.catalog.log import decisions
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Archive
from openagents_json.engine.archive.retention import RETENTION, Policy, apply
from openagents_json.engine.audit import AuditService
from openagents_json.engine.cataloging import carried_over
from openagents_json.engine.wiring.client import Core, build_core
from openagents_json.engine.wiring.parts import Tenure
from projections import Projection
from projections.ledger.signing import Signer, new_signer
from tests.conftest import Server, wait_for
from tests.integration.ledger.ledgers import Open, opening, ran

PAUSED = Tenure(lease_seconds=300, patience_seconds=20, renews=False)
"""As in a process that stands still: nobody renews its lease. `run_out` ends it, and not the time that a test takes."""

Frozen = Callable[..., Core]


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


@pytest.fixture
def engine(opened: Open) -> Engine:
    return opened()


@pytest.fixture
def frozen(server: Server, engine: Engine) -> Frozen:
    """Return what makes the core of a process whose leases end while it does nothing."""
    keys = engine.core.store.keys

    def make(tenure: Tenure = PAUSED, **options: Any) -> Core:
        keyspace = Keyspace(keys.prefix, keys.partitions)
        return build_core(server.connect(), keyspace, tenure=tenure, **options)

    return make


def run_out(engine: Engine, name: str) -> None:
    """Let somebody else have the lease, as its end does: whoever holds it hears nothing of that."""
    [lease] = [x for x in engine.locks.all() if x.name == name]
    assert LeaseStore(engine.core.store).give_back(name, lease.token).done


def test_who_builds_a_view_anew(engine: Engine, frozen: Frozen) -> None:
    ran(engine, "a")
    pauses: list[Callable[[], Any]] = []

    def apply_event(document: Any, event: Recorded) -> Any:
        if pauses:
            pauses.pop()()
        return {"n": (document or {"n": 0})["n"] + 1}

    slow = Projection("slow", apply_event, key=lambda event: event.type)
    paused, other = (frozen(projections=[slow]).reads.views for _ in range(2))
    paused.current("slow")
    paused.rebuild("slow")

    def another_does_it() -> None:
        run_out(engine, "rebuild:slow.1")
        assert other.finish_rebuild("slow")
        # And a third generation begins: what is built by the one that was paused is in use, and stays so.
        assert other.rebuild("slow") == 3

    pauses.append(another_does_it)
    with pytest.raises(LockLost, match=r"rebuild:slow\.1"):
        paused.finish_rebuild("slow")
    [status] = [x for x in other.status() if x.name == "slow"]
    assert (status.generation, status.rebuilding) == (2, 3)
    assert other.verify("slow") == []


def test_who_begins_to_build_a_view_anew(engine: Engine, frozen: Frozen) -> None:
    """Late, it would begin the generation that another has brought into use; its end would drop that."""
    ran(engine, "a")
    other = frozen().reads.views
    other.current("runs")
    core = frozen()
    with core.alone("rebuild:runs.1") as client:
        views = core.reads.views
        used = views._store.generations()["runs.1"]
        run_out(engine, "rebuild:runs.1")
        other.rebuild("runs")
        other.finish_rebuild("runs")  # unless a worker has done so by now
        with pytest.raises(LockLost):
            RedisViewStore(client).begin_generation("runs.1/next", used + 1)
    [status] = [x for x in other.status() if x.name == "runs"]
    assert (status.generation, status.rebuilding) == (2, None)


def test_who_seals(engine: Engine, frozen: Frozen) -> None:
    key = new_signer()
    core = frozen()
    ran(engine, "a")
    signed: list[bytes] = []

    class Slow(Signer):
        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            if b'"heads":{"' in message.replace(b" ", b"") and len(pauses):
                pauses.pop()()
            return super().sign(message)

    def another_does_it() -> None:
        run_out(engine, "sealing")
        ran(engine, "b")
        engine.audit.seal(key)

    pauses = [another_does_it]
    slow = Slow(key.id, key.public, key._key)
    with pytest.raises(LockLost, match="sealing"):
        AuditService(core).seal(slow)
    # The statement that was signed late is not put back in the place of the newer one.
    statement = engine.core.ledger.identity()["statement"]
    assert statement not in signed
    audit = engine.audit.verify()
    assert audit.intact
    assert audit.verified


def test_who_keeps_a_policy(engine: Engine, frozen: Frozen, tmp_path: Path) -> None:
    first, second = ran(engine, "a", "b")
    core = frozen(replace(PAUSED, lease_seconds=5))
    folder = tmp_path / "archive"
    policy = Policy.model_validate(
        {"to": str(folder), "rules": [{"name": "all", "then": "archive"}]}
    )
    keep = Policy.model_validate({"rules": [{"name": "all", "then": "keep"}]})
    late = engine.now_ms() + 1000

    class Slow:
        def runs(self, *asked: Any, **options: Any) -> Any:
            page = core.reads.runs(*asked, **options)
            # Whoever comes next writes nothing here that would fence it: it is refused as its time is over.
            wait_for(lambda: engine.locks.all()[0].until_ms < engine.now_ms())
            apply(keep, engine.archive, engine.views, late)
            return page

    reads: Any = Slow()
    with pytest.raises(LockLost, match=RETENTION):
        apply(policy, Archive(core, "paused"), reads, late)
    assert {row.id for row in engine.views.runs().items} == {first, second}
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_who_upgrades_a_store(
    engine: Engine, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = frozen()
    old = {"name": "pay", "version": "1.0.0"}
    engine.core.directory.publish({"pay@1.0.0": old})
    announce = decisions.announce

    def slowly(*asked: Any) -> Any:
        monkeypatch.setattr(carried_over, "announce", announce)
        run_out(engine, carried_over.UPGRADE)
        assert [x.done for x in engine.repair()] == [True]
        # A worker of the older version is still there, and begins once more.
        engine.core.directory.publish({"pay@1.0.0": {**old, "queue": "io"}})
        return announce(*asked)

    monkeypatch.setattr(carried_over, "announce", slowly)
    with pytest.raises(LockLost, match=carried_over.UPGRADE):
        carried_over.carry_over(core)
    assert engine.core.directory.specs() == {"pay@1.0.0": {**old, "queue": "io"}}
    assert [change.type for change in engine.catalog.history("pay")] == [
        "ComponentRegistered"
    ]
    engine.core.directory.forget_specs(["pay@1.0.0"])


def test_who_comes_second_is_told_who_is_at_work(engine: Engine) -> None:
    core = replace(engine.core, tenure=Tenure(patience_seconds=0.0))
    keep = Policy.model_validate({"rules": [{"name": "all", "then": "keep"}]})
    with engine.locks.hold(RETENTION) as lease, pytest.raises(LockTaken) as told:
        apply(keep, Archive(core, "me"), core.reads, 0)
    assert told.value.holder == lease.holder
    apply(keep, Archive(core, "me"), core.reads, 0)
