"""How long runs are kept: the first rule that fits decides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine import Engine
from openagents_json.engine.archive.retention import apply, read_policy
from openagents_json.engine.errors import NotArchived, PolicyUnreadable
from tests.conftest import Server
from tests.integration.ledger.ledgers import Open, opening, ran, shout


@pytest.fixture
def opened(server: Server) -> Iterator[Open]:
    yield from opening(server)


def policy(tmp_path: Path, *rules: dict[str, Any], **more: Any) -> Any:
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"rules": rules, **more}))
    return read_policy(path)


def test_the_first_rule_that_fits_decides(opened: Open, tmp_path: Path) -> None:
    engine = opened()
    kept, gone = ran(engine, "a", tenant="vip")[0], ran(engine, "b", "c")
    failed, held = ran(engine, "fail", "d")
    engine.archive.hold(held)
    rules = policy(
        tmp_path,
        {"name": "vip", "labels": {"tenant": "vip"}, "then": "keep"},
        {"name": "failures", "status": "failed", "older_than": "0s", "then": "delete"},
        {"name": "young", "workflow": "shouting", "older_than": "1d", "then": "delete"},
        {"name": "rest", "then": "archive"},
        to=str(tmp_path / "archive"),
    )
    now = engine.core.clock.now_ms() + 1000
    dry = apply(rules, engine.archive, engine.views, now, dry_run=True)
    assert [(x.rule, x.fits, x.held, len(x.gone)) for x in dry] == [
        ("vip", 1, 0, 0),
        ("failures", 1, 0, 0),
        ("young", 0, 0, 0),
        ("rest", 3, 1, 0),
    ]
    done = apply(rules, engine.archive, engine.views, now)
    assert [{x.run for x in item.gone} for item in done] == [
        set(),
        {failed},
        set(),
        set(gone),
    ]
    assert all(item.before > 3 * item.left for item in done if item.gone)
    assert {row.id for row in engine.views.runs().items} == {kept, held}
    again = apply(rules, engine.archive, engine.views, now)
    assert [len(item.gone) for item in again] == [0, 0, 0, 0]
    with pytest.raises(NotArchived):
        engine.archive.restore(failed)


@pytest.mark.damages_store("an event is written by hand")
@pytest.mark.parametrize(
    "damage", ["a gap in its history", "an event of a newer version"]
)
def test_a_run_that_cannot_be_read_stays_and_the_others_leave(
    server: Server, tmp_path: Path, damage: str
) -> None:
    prefix = server.prefix()
    with Engine.connect(
        server.url, prefix=prefix, components=[shout], workers=2, partitions=2
    ) as engine:
        damaged, *others = ran(engine, "a", "b", "c")
        version = engine.state(damaged).version + (
            2 if damage.startswith("a gap") else 1
        )
        fields = (
            b"t",
            b"Odd",
            b"d",
            b"{}",
            b"m",
            b"{}",
            b"a",
            b"me",
            b"k",
            b"c",
            b"n",
            b"0",
        )
        engine.core.connection.command(
            b"XADD", engine.core.store.keys.stream(damaged), f"{version}-0", *fields
        )
        engine.core.sessions.drop(damaged)
        rules = policy(tmp_path, {"name": "all", "then": "delete"})
        [done] = apply(
            rules, engine.archive, engine.views, engine.core.clock.now_ms() + 1000
        )
        assert ({x.run for x in done.gone}, set(done.stayed)) == (
            set(others),
            {damaged},
        )


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "[]",
        "{}",
        '{"rules": []}',
        '{"rules": [{"name": "x", "then": "burn"}]}',
        '{"rules": [{"name": "x", "then": "archive"}]}',
        '{"rules": [{"name": "x", "then": "delete", "older_than": "soon"}]}',
        '{"rules": [{"name": "x", "then": "delete", "colour": "red"}]}',
        '{"rules": [{"name": "x", "then": "delete", "to": "/tmp"}]}',
        "[" * 100_000,
    ],
)
def test_a_wrong_policy_is_refused_with_the_reason(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "policy.json"
    path.write_text(wrong)
    with pytest.raises(PolicyUnreadable):
        read_policy(path)
