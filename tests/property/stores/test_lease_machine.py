"""Leases are linearizable: whatever programs do with them, one holds each, and nobody else writes under it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as s
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from eventstore.errors import LockLost
from eventstore.event import Event
from eventstore.keys import Keyspace
from eventstore.redis.client import RedisClient
from eventstore.redis.leases.store import LeaseStore
from eventstore.redis.streams import RedisStreamStore
from openagents_json.engine.locking.locks import Lease
from tests.conftest import Server
from tests.examples import examples

NAMES = s.sampled_from(["a", "b"])
PROGRAMS = s.sampled_from(["x", "y", "z"])
STREAMS = s.sampled_from(["0-s", "1-s"])
LONG_MS, SHORT_MS = 60_000, 1


@dataclass
class Held:
    """What the model says of a name: who holds it, by which token."""

    program: str = ""
    token: int = 0


class LeaseMachine(RuleBasedStateMachine):
    """Programs take, renew, give back, break and lose leases, and write under them with what they believe to hold."""

    def __init__(self, store: RedisClient) -> None:
        super().__init__()
        self.store, self.leases = store, LeaseStore(store)
        self.log = RedisStreamStore(store.connection, store.keys)
        self.model = {"a": Held(), "b": Held()}
        self.believed: dict[tuple[str, str], Lease] = {}
        self.given_back: set[int] = set()
        self.newest = 0
        self.written: dict[str, list[Any]] = {"0-s": [], "1-s": []}
        self.requests = 0

    def take(self, name: str, program: str, lease_ms: int) -> bool:
        self.requests += 1
        request, model = f"r{self.requests}", self.model[name]
        for _ in range(2):  # the second asks again, as who has lost the reply does
            done, _, record = self.leases.take(name, program, request, lease_ms)
            if not done:
                assert (record.holder, record.token) == (model.program, model.token)
                return False
            if model.token != record.token:
                assert record.token > self.newest
                self.newest = record.token
                self.model[name] = model = Held(program, record.token)
        self.believed[program, name] = Lease(self.leases, self.store, record)
        return True

    @rule(name=NAMES, program=PROGRAMS)
    def takes_it(self, name: str, program: str) -> None:
        held = bool(self.model[name].program)
        if held and self.model[name].program == program:
            return
        assert self.take(name, program, LONG_MS) is not held

    @rule(name=NAMES, program=PROGRAMS)
    def takes_it_and_is_paused_for_longer_than_it_lasts(
        self, name: str, program: str
    ) -> None:
        if self.model[name].program:
            return
        self.requests += 1
        done, _, record = self.leases.take(name, program, f"r{self.requests}", SHORT_MS)
        assert done
        self.newest = record.token
        self.believed[program, name] = Lease(self.leases, self.store, record)
        self.model[name] = Held("", record.token)
        while self.store.now_ms() < record.until_ms:
            pass

    @rule(name=NAMES, program=PROGRAMS)
    def renews_it(self, name: str, program: str) -> None:
        self.if_held(name, program, lambda lease: lease.renew())

    @rule(name=NAMES, program=PROGRAMS)
    def checks_it(self, name: str, program: str) -> None:
        self.if_held(name, program, lambda lease: lease.check())

    @rule(name=NAMES, program=PROGRAMS)
    def gives_it_back(self, name: str, program: str) -> None:
        lease = self.believed.get((program, name))
        if lease is None or lease.token in self.given_back:
            return  # done again, it is as it was
        if self.if_held(name, program, lambda lease: lease.give_back()):
            self.given_back.add(lease.token)
            self.model[name] = Held("", self.model[name].token)

    @rule(name=NAMES)
    def somebody_breaks_it(self, name: str) -> None:
        model = self.model[name]
        if model.token:
            held = bool(model.program)
            done = self.leases.take_away(name, model.token).done
            assert done or not held
            self.newest = 0  # a token was given out that nobody has seen
            self.model[name] = Held("", model.token)

    @rule(name=NAMES, program=PROGRAMS, stream=STREAMS)
    def writes_under_it(self, name: str, program: str, stream: str) -> None:
        value = len(self.written[stream])
        event = Event("Written", {"by": program, "n": value})
        if self.if_held(
            name, program, lambda lease: lease.events.append(stream, [event])
        ):
            self.written[stream].append(event.data)

    def if_held(self, name: str, program: str, act: Callable[[Lease], Any]) -> bool:
        """Let a program do what only the holder can; tell whether it was the holder."""
        lease, model = self.believed.get((program, name)), self.model[name]
        if lease is None:
            return False
        holds = model.program == program and model.token == lease.token
        try:
            act(lease)
        except LockLost:
            succeeded = False
        else:
            succeeded = True
        assert succeeded is holds
        return holds

    @invariant()
    def nobody_else_has_written(self) -> None:
        for stream, written in self.written.items():
            assert [event.data for event in self.log.read(stream)] == written

    @invariant()
    def those_that_are_held_are_listed(self) -> None:
        now_ms = self.store.now_ms()
        listed = {
            record.name: record.holder
            for record in self.leases.all()
            if record.is_held(now_ms)
        }
        assert listed == {
            name: held.program for name, held in self.model.items() if held.program
        }


def test_one_holds_a_lease_and_nobody_else_writes_under_it(server: Server) -> None:
    connection = server.connect()

    def machine() -> LeaseMachine:
        return LeaseMachine(RedisClient(connection, Keyspace(server.prefix(), 2)))

    run_state_machine_as_test(
        machine,  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples(30),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
