"""The drill of the guide to backups: a store is copied while it works, and comes back on another server."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eventstore.redis.driver.connection import Connection, connect
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.errors import NotFound
from projections.ledger.signing import new_signer
from tests.acceptance.deploy.files import begun, url
from tests.acceptance.processes import ROOT
from tests.conftest import wait_for

GUIDE = ROOT / "docs/how-to/back-up-and-restore.md"
DOCUMENT = {
    "id": "order",
    "steps": [
        {"id": "paid", "wait_for": {"signal": "paid"}},
        {"id": "send", "component": "send"},
    ],
    "output": "{{send.output}}",
}


@tool("send")
def send() -> str:
    return "sent"


@contextmanager
def working(store: Path) -> Iterator[Engine]:
    with Engine.connect(
        url(store, "worker"), broker="", components=[send], workers=1
    ) as engine:
        yield engine


def backed_up(way: str, admin: Connection, folder: Path, copy: Path) -> None:
    """Carry out what the guide says of a way, and copy the files that it names."""
    [section] = re.findall(rf"^### {way}\n(.*?)^##", GUIDE.read_text(), re.M | re.S)
    before, files, after = re.findall(r"```(?:text|sh)\n(.*?)```", section, re.S)
    carry_out(admin, before)
    name = Path(files.split()[-2]).name
    if (folder / name).is_dir():
        shutil.copytree(folder / name, copy / name)
    else:
        shutil.copy(folder / name, copy / name)
    carry_out(admin, after)


def carry_out(admin: Connection, commands: str) -> None:
    """Carry out commands of a client, and wait for what they begin."""
    for line in commands.splitlines():
        admin.client.execute_command(*shlex.split(line))
        wait_for(lambda: not is_writing(admin))


def is_writing(admin: Connection) -> bool:
    """Tell whether a server writes a file beside its work."""
    state = admin.client.info("persistence")
    return bool(state["aof_rewrite_in_progress"] or state["rdb_bgsave_in_progress"])


@pytest.mark.parametrize("way", ["The append-only file", "A snapshot"])
def test_a_store_comes_back_from_its_copy(way: str, tmp_path: Path) -> None:
    signer, copy = new_signer(), tmp_path / "copy"
    copy.mkdir()
    with begun("store", tmp_path / "old") as store, working(store) as engine:
        closed = engine.start(DOCUMENT)
        engine.signal(closed, "paid")
        assert engine.wait(closed, timeout=60).ok
        waiting = engine.start(DOCUMENT, idempotency_key="before")
        engine.audit.seal(signer)
        with closing(connect(url(store, "admin"))) as admin:
            backed_up(way, admin, tmp_path / "old", copy)
        after_it = engine.start(DOCUMENT, idempotency_key="after")
    from_snapshot = ("--appendonly", "no") if (copy / "dump.rdb").exists() else ()
    with begun("store", copy, *from_snapshot) as store:
        with closing(connect(url(store, "admin"))) as admin:
            admin.client.execute_command("CONFIG", "SET", "appendonly", "yes")
            wait_for(lambda: not is_writing(admin))
            assert admin.client.info("persistence")["aof_enabled"] == 1
        with working(store) as engine:
            assert engine.audit.verify({signer.id: signer.public}).intact
            assert engine.doctor() == []
            assert engine.wait(closed).output == "sent"
            # What was acknowledged behind the copy is gone, and is asked for again with its key.
            with pytest.raises(NotFound):
                engine.state(after_it)
            again = engine.start(DOCUMENT, idempotency_key="after")
            assert engine.start(DOCUMENT, idempotency_key="before") == waiting
            for run in (waiting, again):
                engine.signal(run, "paid")
                assert engine.wait(run, timeout=60).output == "sent"
