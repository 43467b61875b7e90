"""Who sleeps for work wakes up with it: what is claimed in the very call that a drain sleeps in."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from eventstore.keys import Keyspace
from eventstore.redis.coordination.wakeups import WakeUps, bell_of
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import ANY_PARTITION, ClaimRequest, Code, Commit, Heard
from eventstore.runs import HintRequest, WakeUp
from eventstore.testing.commits import ready, started
from tests.conftest import Server, wait_for

pytestmark = pytest.mark.damages_store(
    "its events are made up, and its runs are left as they are"
)


@pytest.fixture
def store(private_server: Server) -> RedisRunStore:
    prefix = private_server.prefix()
    return RedisRunStore(private_server.connect(), Keyspace(prefix, 3))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def run_in(partition: int) -> Commit:
    return started(ready("a"), run=f"{partition}-run", commit=f"c{partition}")


def asleep(
    store: RedisRunStore, threads: ThreadPoolExecutor, claim: str = "k1"
) -> Future[Heard]:
    """Return what somebody will hear who sleeps for work; the server knows that he does when this returns."""
    WakeUps(store.connection, store.keys).take("q", "w", 60_000, 9)
    request = ClaimRequest(ANY_PARTITION, "q", 9, claim, "h")
    heard = threads.submit(
        store.listen, request, worker="w", lease_ms=60_000, block_ms=5000
    )
    client = store.connection.client
    wait_for(lambda: client.info("clients")["blocked_clients"] == 1)
    return heard


def test_who_is_woken_has_the_step_that_he_was_woken_for(
    store: RedisRunStore, threads: ThreadPoolExecutor
) -> None:
    heard = asleep(store, threads)
    store.exchange([run_in(0)], wakeups=[WakeUp("q", [0])])
    # The server does not know the script yet, and tells where to look.
    assert heard.result(20) == Heard(0)
    heard = asleep(store, threads, "k2")
    store.exchange([run_in(1)], wakeups=[WakeUp("q", [1])])
    partition, reply = heard.result(20)
    assert partition is None
    assert reply is not None
    assert reply.partition == 1
    [claimed] = reply.claimed
    assert (claimed.lease.run, claimed.lease.step) == ("1-run", "a")
    assert [x.type for x in claimed.events][-1] == "StepStarted"
    [head] = store.heads(["1-run"])
    assert head is not None
    assert head.steps["a"].fence == claimed.lease.fence


def test_who_is_woken_looks_where_he_was_woken_for_when_the_claim_was_elsewhere(
    store: RedisRunStore, threads: ThreadPoolExecutor
) -> None:
    heard = asleep(store, threads)
    store.exchange([run_in(2)], wakeups=[WakeUp("q", [2])])
    heard.result(20)  # the server knows all scripts from here on
    heard = asleep(store, threads, "k2")
    # The first of two that were rung for at once is what a claim looks at, and a bell gives the lower one first.
    wakeups = [WakeUp("q", [1, 0])]
    store.exchange([run_in(0), run_in(1)], wakeups=wakeups)
    partition, reply = heard.result(20)
    assert partition == 0
    assert reply is not None
    assert [claimed.lease.run for claimed in reply.claimed] == ["1-run"]


def test_who_finds_that_others_were_faster_is_told_where_that_was(
    store: RedisRunStore, threads: ThreadPoolExecutor
) -> None:
    heard = asleep(store, threads)
    store.exchange([], wakeups=[WakeUp("q", [2])])
    heard.result(20)
    heard = asleep(store, threads, "k2")
    store.exchange([], wakeups=[WakeUp("q", [0])])
    partition, reply = heard.result(20)
    assert partition == 0
    assert reply is not None
    assert (reply.partition, reply.claimed) == (0, ())


def test_who_says_in_his_sleep_that_he_is_busy_is_woken_without_work(
    store: RedisRunStore, threads: ThreadPoolExecutor
) -> None:
    heard = asleep(store, threads)
    store.exchange([run_in(0)], wakeups=[WakeUp("q", [0])])
    heard.result(20)
    heard = asleep(store, threads, "k2")
    WakeUps(store.connection, store.keys).busy("q", "w")
    store.exchange([run_in(1)], wakeups=[WakeUp("q", [1])])
    assert heard.result(20) == Heard(1)


def test_who_has_nothing_left_to_do_asks_for_work_with_his_last_commit(
    store: RedisRunStore,
) -> None:
    bell = WakeUps(store.connection, store.keys)
    request = HintRequest("q", "w", 9, 60_000, 60_000)
    rings = [WakeUp("q", [1])]
    offered = store.offer([run_in(1)], wakeups=rings, request=request)
    assert [commit.code for commit in offered.commits] == [Code.DONE]
    assert bell.taken("q", offered.hints or ()) == [1]
    offered = store.offer([run_in(0)], request=request)
    assert offered.hints == []
    assert not bell.ring("q", [0])  # he will hear it


def test_a_request_for_work_that_fails_is_no_affair_of_the_commit(
    store: RedisRunStore,
) -> None:
    store.connection.command(b"SET", bell_of(store.keys, "q"), "damaged")
    request = HintRequest("q", "w", 9, 60_000, 60_000)
    offered = store.offer([run_in(1)], request=request)
    assert [commit.code for commit in offered.commits] == [Code.DONE]
    assert offered.hints is None
    store.connection.command(b"DEL", bell_of(store.keys, "q"))


def test_who_has_slept_his_time_out_hears_nothing(store: RedisRunStore) -> None:
    request = ClaimRequest(ANY_PARTITION, "q", 9, "k1", "h")
    assert store.listen(request, worker="w", lease_ms=1000, block_ms=1) == Heard(None)
    assert store.listen(request, worker="w", lease_ms=1000, block_ms=1) == Heard(None)
