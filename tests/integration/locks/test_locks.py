"""Locks of programs: one holds each, and a holder that was paused for too long cannot write."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from eventstore.errors import InvalidRequest, LockLost, LockTaken
from eventstore.event import Event
from eventstore.redis.coordination.members import Directory
from eventstore.redis.leases.store import LeaseStore
from openagents_json.engine import Engine
from openagents_json.engine.locking.locks import Lease
from tests.conftest import Server, wait_for
from tests.fork_server import ROOT, ForkedProcess


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), partitions=2, actor="me"
    ) as opened:
        yield opened


def counted(engine: Engine) -> list[int]:
    return [event.data for event in engine.events.read("count")]


def test_threads_that_read_and_write_under_a_lock_lose_nothing(engine: Engine) -> None:
    tokens: list[int] = []

    def increment() -> None:
        for _ in range(3):
            with engine.locks.hold("count", timeout=None) as lease:
                tokens.append(lease.token)
                number = len(lease.events.read("count"))
                lease.events.append("count", [Event("Counted", number + 1)])

    threads = [threading.Thread(target=increment) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(engine) == list(range(1, 25))
    assert tokens == sorted(set(tokens))  # the later holder has the higher token
    assert engine.locks.all() == []


def test_who_comes_second_is_told_who_holds_it_and_may_wait(engine: Engine) -> None:
    with engine.locks.hold("nightly", lease_seconds=20) as lease:
        with (
            pytest.raises(LockTaken) as told,
            engine.locks.hold("nightly", timeout=0.05),
        ):
            pass
        assert told.value.holder == lease.holder
        assert told.value.holder.startswith("me:")
        assert told.value.token == lease.token
        assert told.value.until_ms >= lease.until_ms
        assert "holds the lock 'nightly' until 20" in str(told.value)
        with engine.locks.hold("another") as other:
            assert other.token > lease.token
    with engine.locks.hold("nightly") as later:
        assert later.token > other.token


@pytest.mark.parametrize("taken", [False, True])
def test_a_holder_that_is_paused_beyond_its_lease_cannot_write(
    engine: Engine, taken: bool
) -> None:
    leases: list[Lease] = []

    def paused() -> None:
        with engine.locks.hold("nightly", lease_seconds=3, renew=False) as lease:
            leases.append(lease)
            lease.events.append("count", [Event("Counted", 1)])
            wait_for(lambda: engine.now_ms() >= lease.until_ms)
            if taken:
                with engine.locks.hold("nightly") as other:
                    other.events.append("count", [Event("Counted", 2)])

    with pytest.raises(LockLost) as at_the_end:
        paused()
    [lease] = leases
    with pytest.raises(LockLost) as told:
        lease.events.append("count", [Event("Counted", 3)])
    for call in (lease.check, lease.renew, lease.give_back):
        with pytest.raises(LockLost):
            call()
    assert counted(engine) == ([1, 2] if taken else [1])
    assert told.value.token == at_the_end.value.token == lease.token
    why = "another has had it since" if taken else "it ran out at 20"
    assert why in str(told.value)
    assert "nothing was written" in str(told.value)


def test_what_was_given_back_is_not_written_under(engine: Engine) -> None:
    with engine.locks.hold("a") as lease:
        pass
    with pytest.raises(LockLost):
        lease.events.append("count", [Event("Counted", 1)])
    assert counted(engine) == []


def test_what_was_taken_away_is_not_written_under(engine: Engine) -> None:
    leases: list[Lease] = []

    def hung() -> None:
        with engine.locks.hold("a", lease_seconds=60) as lease:
            leases.append(lease)
            assert engine.locks.take_away("a", token=lease.token - 1) is None
            taken = engine.locks.take_away("a", reason="it | hangs")
            assert taken is not None
            assert taken.token == lease.token

    with pytest.raises(LockLost, match=r"me has taken it away \(it \| hangs\)"):
        hung()
    [record] = engine.locks.all(broken=True)
    assert (record.state, record.by, record.reason) == ("broken", "me", "it | hangs")
    assert engine.locks.all() == []
    with pytest.raises(LockLost, match="another has had it since"):
        leases[0].events.append("count", [Event("Counted", 2)])
    with engine.locks.hold("a"):  # at once
        assert counted(engine) == []
    assert engine.locks.take_away("a") is None


def test_who_carries_over_what_is_published_cannot_go_on_when_it_was_stopped(
    engine: Engine,
) -> None:
    leases: list[Lease] = []

    def hung() -> None:
        with engine.locks.hold("a", lease_seconds=60) as lease:
            leases.append(lease)
            engine.locks.take_away("a")

    with pytest.raises(LockLost):
        hung()
    directory = Directory(leases[0].client)
    writes = (
        lambda: directory.publish({"a@1": {}}),
        lambda: directory.add_workflow("a@1", {}),
        lambda: directory.set_alias("a@b", {}),
    )
    for write in writes:
        with pytest.raises(LockLost):
            write()


def test_who_takes_a_lock_just_before_it_is_taken_away_from_another_keeps_it(
    engine: Engine,
) -> None:
    leases = LeaseStore(engine.core.store)
    with engine.locks.hold("a") as before:
        pass
    with engine.locks.hold("a") as lease:
        assert not leases.take_away("a", before.token).done
        lease.events.append("count", [Event("Counted", 1)])
    assert counted(engine) == [1]


def test_who_reads_is_not_written_over_by_who_held_it_before(engine: Engine) -> None:
    """Whatever the clocks say: the holder before still has a lease that seems good, as after a failover."""
    store = engine.core.store
    leases: list[Lease] = []

    def forgotten() -> None:
        with engine.locks.hold("a", lease_seconds=60) as lease:
            leases.append(lease)
            store.connection.client.delete(store.keys.leases())

    with pytest.raises(LockLost):
        forgotten()
    with engine.locks.hold("a") as other:
        assert list(other.events.read("count")) == []
        with pytest.raises(LockLost, match="another has had it since"):
            leases[0].events.append("count", [Event("Counted", 1)])
        other.events.append("count", [Event("Counted", 2)])
    assert counted(engine) == [2]


def test_a_lease_is_renewed_while_the_block_lasts(engine: Engine) -> None:
    with engine.locks.hold("long", lease_seconds=3) as lease:
        first = lease.until_ms
        wait_for(lambda: engine.now_ms() > first + 100)
        lease.check()
        lease.events.append("count", [Event("Counted", 1)])
    assert counted(engine) == [1]


def test_what_goes_wrong_in_the_block_is_what_is_told(engine: Engine) -> None:
    def wrong() -> None:
        with engine.locks.hold("a"):
            engine.locks.take_away("a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wrong()
    with engine.locks.hold("a"):  # at once
        pass


@pytest.mark.parametrize(
    ("name", "seconds"), [("", 1), ("a b", 1), ("a\n", 1), ("a", 0), ("a", 1e9)]
)
def test_names_and_lengths_that_make_no_sense_are_refused(
    engine: Engine, name: str, seconds: float
) -> None:
    with pytest.raises(InvalidRequest), engine.locks.hold(name, lease_seconds=seconds):
        pass


_PROGRAM = """
import sys
from eventstore.errors import LockLost
from eventstore.event import Event
from openagents_json.engine.locking.locks import Lease
from eventstore.redis.coordination.members import Directory
from eventstore.redis.leases.store import LeaseStore
from openagents_json.engine import Engine
url, prefix = sys.argv[1:]
with Engine.connect(url, prefix=prefix, partitions=2) as engine:
    try:
        with engine.locks.hold("nightly", lease_seconds=0.3) as lease:
            print("holds it", flush=True)
            sys.stdin.readline()
            lease.events.append("count", [Event("Counted", "late")])
    except LockLost as error:
        print(error.code, flush=True)
"""


def test_a_process_that_is_stopped_and_goes_on_later_cannot_write(
    engine: Engine, server: Server
) -> None:
    arguments = [server.url, engine.core.store.keys.prefix]
    with ForkedProcess(
        [sys.executable, "-c", _PROGRAM, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "holds it\n"
        process.send_signal(signal.SIGSTOP)
        with engine.locks.hold("nightly", timeout=60) as lease:
            lease.events.append("count", [Event("Counted", "mine")])
        process.stdin.write("go on\n")
        process.stdin.flush()
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "lock_lost\n"
        process.wait()
    assert [event.data for event in engine.events.read("count")] == ["mine"]
