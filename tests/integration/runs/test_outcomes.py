"""What goes wrong with one outcome is the affair of its own step, and what goes wrong with the store is waited for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.errors import NotJson
from eventstore.run_model import ClaimRequest
from executor.worker.runtime import WorkSettings
from openagents_json import tool
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS
from tests.components.hostile import ERRORS, VALUES, nested
from tests.conftest import Server, wait_for

HOSTILE = COMPONENTS.with_name("hostile.py")
LEASE_MS = 400
UNHURRIED_MS = 10_000
"""A lease that no pause of a busy machine outlasts: who loses one has been forgotten."""


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    """An engine with hostile components; afterwards its store is in order, and it holds nothing."""
    registry = load([str(COMPONENTS), str(HOSTILE)])
    with Engine.connect(
        server.url, prefix=server.prefix(), components=registry, partitions=2
    ) as opened:
        keeper = opened.work(
            WorkSettings(queues=("tool",), concurrency=2, lease_ms=UNHURRIED_MS)
        ).runtime.keeper
        yield opened
        assert opened.doctor() == []
        wait_for(lambda: keeper.jobs() == [])


def steps(*specs: dict[str, Any], **document: Any) -> dict[str, Any]:
    return {"id": "w", "steps": list(specs), **document}


def gives(component: str, what: str) -> dict[str, Any]:
    return steps({"id": "a", "component": component, "inputs": {"what": what}})


INNOCENT = steps(
    {"id": "a", "component": "quick"},
    {"id": "b", "component": "waits", "inputs": {"ms": 1}, "depends_on": ["a"]},
    {"id": "c", "component": "quick", "depends_on": ["b"]},
)


def around(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


UNWRITABLE: dict[str, Any] = {
    **{f"nested {depth}": nested(depth) for depth in (257, 500, 100_000)},
    "long": 10**4300,
    "nan": {"a": float("nan")},
}


def types(engine: Engine, run: str) -> list[str]:
    return [event.type for event in engine.history(run)]


@pytest.mark.parametrize("component", ["give", "give_later"])
def test_whatever_a_component_comes_to_fails_its_own_step_and_no_other(
    engine: Engine, component: str
) -> None:
    starts: list[tuple[Any, dict[str, Any]]] = [
        (gives(component, what), {}) for what in [*VALUES, *ERRORS]
    ]
    mixed: list[tuple[Any, dict[str, Any]]] = []
    for start in starts:
        mixed += [(INNOCENT, {}), start]
    runs = engine.start_many(mixed)
    results = [engine.wait(run, timeout=60) for run in runs]
    assert [result.status for result in results] == ["completed", "failed"] * len(
        starts
    )
    for what, result in zip([*VALUES, *ERRORS], results[1::2], strict=True):
        assert result.error is not None, what
        assert result.error["step"] == "a", what
        if what in VALUES and what != "unreadable":
            assert result.error["type"] == "InvalidComponentOutput", what
            assert str(result.error["message"]).startswith("step a: "), what
        assert len(str(result.error["message"])) <= 2000, what
    assert [run for run in runs if "StepLeaseLost" in types(engine, run)] == []


def test_a_component_may_not_stop_the_event_loop_that_it_shares(engine: Engine) -> None:
    beside = engine.start(
        steps({"id": "a", "component": "waits", "inputs": {"ms": 300}})
    )
    wait_for(lambda: "StepStarted" in types(engine, beside))
    result = engine.run(gives("give_later", "stop the loop"), timeout=20)
    assert result.error is not None
    assert "may not stop" in str(result.error["message"])
    assert engine.wait(beside, timeout=120).ok
    assert engine.run(INNOCENT, timeout=120).ok


def test_what_templates_put_around_a_deep_value_fails_the_step_that_would_get_it(
    engine: Engine,
) -> None:
    chain = [{"id": "a", "component": "deep", "inputs": {"depth": 256}}]
    for name, before in (("b", "a"), ("c", "b"), ("d", "c")):
        chain.append(
            {
                "id": name,
                "component": "echo",
                "inputs": {"value": around(f"{{{{{before}.output}}}}", 30)},
            }
        )
    result = engine.run(steps(*chain), timeout=20)
    assert result.error is not None
    assert (result.error["step"], result.error["retryable"]) == ("b", False)
    assert "nested too deeply" in str(result.error["message"])


def test_a_run_whose_output_is_too_deep_fails_and_says_so(engine: Engine) -> None:
    result = engine.run(
        steps(
            {"id": "a", "component": "deep", "inputs": {"depth": 256}},
            output=around("{{a.output}}", 90),
        ),
        timeout=20,
    )
    assert (result.status, result.error and result.error["type"]) == (
        "failed",
        "PayloadNotJson",
    )


@pytest.mark.parametrize("value", UNWRITABLE.values(), ids=UNWRITABLE)
def test_inputs_and_signals_that_cannot_be_written_are_refused_at_once(
    engine: Engine, value: Any
) -> None:
    with pytest.raises(NotJson):
        engine.start(steps({"id": "a", "component": "quick"}), {"value": value})
    run = engine.start(steps({"id": "a", "wait_for": "go"}))
    with pytest.raises(NotJson):
        engine.signal(run, "go", value)
    engine.signal(run, "go", nested(200))
    assert engine.wait(run, timeout=120).ok


@pytest.mark.parametrize(
    "text",
    [
        "n: {{ inputs.digits | int * inputs.digits | int }}",
        "{{ inputs.digits | int * inputs.digits | int }}",
        "{{ [inputs.digits | int * inputs.digits | int] | tojson }}",
        "{{ inputs.far | float }}",
    ],
)
def test_a_template_fails_its_step_whatever_its_evaluation_raises(
    engine: Engine, text: str
) -> None:
    document = steps(
        {"id": "a", "component": "quick"},
        {
            "id": "b",
            "component": "echo",
            "inputs": {"value": text},
            "depends_on": ["a"],
        },
        inputs={"digits": {"type": "string"}, "far": {"type": "string"}},
    )
    result = engine.run(document, {"digits": "9" * 3000, "far": "1e999"}, timeout=120)
    assert (result.status, result.error and result.error["type"]) == (
        "failed",
        "ExpressionError",
    )


def test_an_outcome_whose_decision_raises_fails_its_step_and_holds_up_nobody(
    engine: Engine,
) -> None:
    """A defect in what an outcome leads to, here in the naming of children, is told where it happened."""
    child = {"id": "sub", "workflow": "w", "depends_on": ["a"]}
    parents = [
        engine.start(steps({"id": "a", "component": "slow"}, child)) for _ in range(3)
    ]
    naming = engine.core.handler.child_id

    def name(kind: str) -> str:
        if kind.partition("/")[0] in parents:
            raise ArithmeticError("no name for it")
        return naming(kind)

    engine.core.handler.child_id = name
    others = engine.start_many([(INNOCENT, {})] * 20)
    assert all(engine.wait(run, timeout=120).ok for run in others)
    for parent in parents:
        result = engine.wait(parent, timeout=120)
        assert result.error is not None
        assert (result.error["type"], result.error["step"]) == (
            "OutcomeNotRecorded",
            "a",
        )
        assert "ArithmeticError: no name for it" in str(result.error["message"])


# -- a store that is away ----------------------------------------------------------------------------------


def away(server: Server, how: str) -> Callable[[], None]:
    """Take the store away; gives what brings it back."""
    connection = server.connect()
    match how:
        case "killed":
            connection.command(b"CONFIG", b"SET", b"appendfsync", b"always")
            server.kill()
            return server.start
        case "stopped":
            assert server.process is not None
            pid = server.process.pid
            os.kill(pid, signal.SIGSTOP)
            return lambda: os.kill(pid, signal.SIGCONT)
        case _:
            connection.command(b"CONFIG", b"SET", b"maxmemory", b"1")
            return lambda: connection.command(b"CONFIG", b"SET", b"maxmemory", b"0")


@pytest.mark.parametrize("how", ["killed", "stopped", "full"])
def test_what_ends_while_the_store_is_away_is_recorded_or_refused_when_it_is_back(
    private_server: Server, how: str
) -> None:
    """Steps of both lanes end while the store is away for four leases; afterwards every run goes on."""
    let, begun = threading.Event(), threading.Semaphore(0)

    @tool("held", effect="idempotent")
    def held() -> int:
        begun.release()
        let.wait(30)
        return 1

    registry = load([str(COMPONENTS)])
    registry.add(held)
    with Engine.connect(
        private_server.url, components=registry, partitions=4
    ) as engine:
        keeper = engine.work(
            WorkSettings(queues=("tool",), concurrency=4, lease_ms=LEASE_MS)
        ).runtime.keeper
        chain: list[dict[str, Any]] = [
            {"id": "b", "component": "quick"},
            {"id": "c", "component": "waits", "inputs": {"ms": 1}},
        ]
        documents = [steps({"id": "a", "component": "held"}, *chain)] * 4
        documents += [
            steps({"id": "a", "component": "waits", "inputs": {"ms": 300}}, *chain)
        ] * 20
        runs = engine.start_many([(document, {}) for document in documents])
        for _ in range(4):
            assert begun.acquire(timeout=20)
        back = away(private_server, how)
        let.set()
        threading.Event().wait(4 * LEASE_MS / 1000)
        back()
        assert [engine.wait(run, timeout=60).status for run in runs] == [
            "completed"
        ] * len(runs)
        wait_for(lambda: keeper.jobs() == [])
        assert engine.doctor() == []


# -- many threads ------------------------------------------------------------------------------------------


def test_many_threads_that_wait_leave_the_drains_of_their_program_their_connections(
    engine: Engine,
) -> None:
    waited = engine.start(
        steps(
            {"id": "a", "wait_for": "go"},
            {"id": "b", "component": "quick", "depends_on": ["a"]},
        )
    )
    statuses: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: statuses.append(engine.wait(waited, timeout=60).status)
        )
        for _ in range(150)
    ]
    for thread in threads:
        thread.start()
    assert [engine.run(INNOCENT, timeout=60).status for _ in range(10)] == [
        "completed"
    ] * 10
    engine.signal(waited, "go")
    for thread in threads:
        thread.join()
    assert statuses == ["completed"] * 150


# -- what nobody works on ----------------------------------------------------------------------------------


@pytest.mark.damages_store("a lease is made to have run out, and nobody is there")
def test_the_doctor_finds_a_lease_that_ran_out_and_that_nobody_acts_on(
    server: Server,
) -> None:
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=load([str(COMPONENTS)]),
        partitions=1,
    ) as engine:
        run = engine.start(steps({"id": "a", "component": "quick"}))
        engine.core.store.tell(0, "gone", {"quick": True})
        requests = [ClaimRequest(0, "tool", 1, "c1", "gone")]
        engine.core.store.claim(requests, worker="gone:1/2", lease_ms=60_000)
        assert engine.doctor() == []
        head = engine.core.store.keys.head(run)
        record = (
            engine.core.connection.command(b"HGET", head, "s:a").decode().split("|")
        )
        record[8] = str(int(record[8]) - 100_000)
        engine.core.connection.command(b"HSET", head, "s:a", "|".join(record))
        assert [(violation.number, violation.run) for violation in engine.doctor()] == [
            (5, run)
        ]
        assert (
            "nobody works on it: the lease of gone:1/2 ran out"
            in engine.doctor()[0].what
        )
