"""Commits of one partition share a call of their script: what is wrong with one of them hinders no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from eventstore.errors import EventStoreError
from eventstore.keys import Keyspace
from eventstore.redis.commits.groups import MOST_COMMITS
from eventstore.redis.driver.scripts import Call
from eventstore.redis.runs import RedisRunStore
from eventstore.run_model import Code, Commit, Committed
from eventstore.testing.commits import event, ready, started
from openagents_json.work_index import IndexChanges, ReadyStep
from tests.conftest import Server

pytestmark = pytest.mark.damages_store("its events are made up, and its runs broken")

RUNS = ["0-1", "0-2", "0-3"]


@pytest.fixture
def store(server: Server) -> RedisRunStore:
    begun = RedisRunStore(server.connect(), Keyspace(server.prefix(), 1))
    begun.exchange([started(run=run) for run in RUNS])
    return begun


def opening(run: str, step: ReadyStep) -> Commit:
    """Make a commit behind the start of a run that opens a step."""
    events = (event("StepScheduled", step=step.step),)
    changes = IndexChanges(ready=(step,))
    return Commit(run, "cas", "c2", events, 1, "c1", changes=changes)


def carried_out(
    store: RedisRunStore, commits: list[Commit]
) -> list[Committed | EventStoreError]:
    """Offer commits and return their answers."""
    return list(store.offer(commits).commits)


def assert_only_the_others_went_on(store: RedisRunStore) -> None:
    """Check that all but the second of three commits are carried out, and that their steps can be claimed."""
    first, broken, third = carried_out(
        store, [opening(run, ready("a")) for run in RUNS]
    )
    assert isinstance(broken, EventStoreError)
    assert isinstance(first, Committed)
    assert isinstance(third, Committed)
    assert (first.code, first.version, first.position) == (Code.DONE, 2, 4)
    assert (third.code, third.version, third.position) == (Code.DONE, 2, 5)
    assert store.commit(started(run="0-4")).position == 6
    for run in ("0-1", "0-3"):
        [head] = store.heads([run])
        assert head is not None
        assert (head.version, head.last_commit, [*head.steps]) == (2, "c2", ["a"])


def test_a_history_that_does_not_fit_its_head_refuses_its_own_commit_alone(
    store: RedisRunStore,
) -> None:
    stream = store.keys.stream("0-2")
    store.connection.command(b"XADD", stream, "9-0", "t", "Odd")
    assert_only_the_others_went_on(store)


def test_a_head_that_cannot_be_read_refuses_its_own_commit_alone(
    store: RedisRunStore,
) -> None:
    head = store.keys.head("0-2")
    store.connection.command(b"DEL", head)
    store.connection.command(b"SET", head, "no hash")
    assert_only_the_others_went_on(store)


def test_commits_sent_again_beside_new_ones_are_found(store: RedisRunStore) -> None:
    first, second, third = (opening(run, ready("a")) for run in RUNS)
    carried_out(store, [first, third])
    answers = carried_out(store, [first, second, third])
    codes = [answer.code for answer in answers if isinstance(answer, Committed)]
    assert codes == [Code.DUPLICATE, Code.DONE, Code.DUPLICATE]


def test_many_commits_of_a_partition_are_few_calls(
    private_server: Server,
) -> None:
    connection = private_server.connect()
    store = RedisRunStore(connection, Keyspace(private_server.prefix(), 1))
    count = 3 * MOST_COMMITS + 1
    store.commit(started(run="0-first"))  # the server knows the script from here on
    connection.client.config_resetstat()
    answers = store.exchange([started(run=f"0-{i}") for i in range(count)]).commits
    assert [answer.position for answer in answers] == [*range(2, count + 2)]
    calls = connection.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls == 4


class FullAtFirst(RedisRunStore):
    """A store whose server is full for the first calls, so many as `full_for` says, and has room from then on."""

    full_for = 0

    def answers(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls, and make room behind the first of them."""
        refused, others = calls[: self.full_for], calls[self.full_for :]
        replies = super().answers(refused)
        self.connection.client.config_set("maxmemory", 0)
        return [*replies, *super().answers(others)]


@pytest.mark.parametrize("full_for", [1, 2], ids=["definition", "definition and runs"])
def test_runs_that_begin_as_a_full_server_gets_room_have_their_definitions(
    private_server: Server, full_for: int
) -> None:
    keyspace = Keyspace(private_server.prefix(), 1)
    store = FullAtFirst(private_server.connect(), keyspace)
    store.full_for = full_for
    store.connection.client.config_set("maxmemory", 1)
    commits = [started(run=run) for run in RUNS]
    answers = store.offer(commits, definitions={"d1": b"{}"}).commits
    codes = [answer.code for answer in answers if isinstance(answer, Committed)]
    assert codes == [Code.DONE] * len(RUNS)
    assert store.definitions(["d1"]) == [b"{}"]


def test_a_damaged_partition_hides_nothing_that_is_due_in_others(
    server: Server,
) -> None:
    store = RedisRunStore(server.connect(), Keyspace(server.prefix(), 3))
    store.exchange([started(run="1-1")])
    call, keys = store.connection.command, store.keys
    call(b"SET", keys.head("0-1"), "no hash")
    call(b"ZADD", keys.due(0), 1, "l|0-1|a")
    call(b"ZADD", keys.due(1), 1, "R|1-1")
    replies = store.due([0, 1, 2], ["tool"])
    assert [reply.partition for reply in replies] == [1, 2]
    assert [member.member for member in replies[0].members] == ["R|1-1"]
    with pytest.raises(EventStoreError, match="WRONGTYPE"):
        store.due([0], ["tool"])
