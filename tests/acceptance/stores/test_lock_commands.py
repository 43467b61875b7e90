"""Locks at the command line: who has one, and what becomes of a holder from whom it is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventstore.errors import LockLost, LockTaken
from eventstore.event import Event
from eventstore.redis.leases.store import LeaseStore
from openagents_json.engine import Engine
from tests.acceptance.processes import openagents
from tests.conftest import Server, wait_for


def test_a_lock_is_taken_from_a_holder_that_hangs_who_cannot_write_any_more(
    server: Server,
) -> None:
    where = ("--url", server.url, "--prefix", server.prefix())

    def call(*words: str) -> tuple[int, str, str]:
        done = openagents(*words, *where)
        return done.returncode, done.stdout, done.stderr

    def listed() -> dict[str, Any]:
        [row] = json.loads(call("locks", "list", "--json")[1])
        return dict(row)

    def hangs() -> None:
        with engine.locks.hold("nightly", lease_seconds=3600) as lease:
            row = listed()
            assert (row["holder"], row["token"]) == (lease.holder, lease.token)
            assert 0 < row["expires_in_ms"] <= 3_600_000
            with pytest.raises(LockTaken) as told, engine.locks.hold("nightly"):
                pass
            [command] = [x for x in str(told.value).split("`") if "locks" in x]
            words = command.split()[1:]
            code, _, asked = call(*words)
            assert code == 2
            assert "nobody can be asked" in asked
            lease.check()
            code, out, _ = call(*words, "--yes", "--reason", "it hangs")
            assert code == 0
            assert f"taken from {lease.holder}" in out
            with pytest.raises(LockLost, match="it was taken away, or another"):
                lease.events.append("count", [Event("Counted", 1)])

    with Engine.connect(where[1], prefix=where[3], partitions=2) as engine:
        with pytest.raises(LockLost, match=r"has taken it away \(it hangs\)"):
            hangs()
        assert list(engine.events.read("count")) == []
        row = listed()
        assert (row["state"], row["reason"]) == ("broken", "it hangs")
        assert row["by"].startswith("cli")
        assert row["expires_in_ms"] == 0
        assert call("locks", "break", "nightly", "--yes")[0] == 1
        with engine.locks.hold("nightly"):
            assert listed()["by"] == ""


def test_the_doctor_tells_of_a_lock_whose_holder_has_died(server: Server) -> None:
    where = ("--url", server.url, "--prefix", server.prefix())

    def warnings() -> list[str]:
        told = json.loads(openagents("doctor", "--json", *where).stdout)["findings"]
        return [str(x["what"]) for x in told if x["code"] == "lock"]

    with Engine.connect(where[1], prefix=where[3], partitions=2) as engine:
        leases = LeaseStore(engine.core.store)
        leases.take("held", "alive", "a", 3_600_000)
        _, _, record = leases.take("nightly", "dead:1:x", "b", 1)
        wait_for(lambda: engine.now_ms() >= record.until_ms)
        [what] = warnings()
        assert "the lock nightly ran out" in what
        assert "dead:1:x died or hung" in what
        listed = openagents("locks", "list", *where).stdout
        assert "its holder died or hung" in listed
        assert openagents("locks", "break", "nightly", "--yes", *where).returncode == 0
        assert warnings() == []
