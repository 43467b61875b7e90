"""An idempotency key answers the request that it stands for, and no other one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from secrets import token_bytes
from typing import Any

import pytest

from executor.encryption import make_key
from executor.errors import EncryptionError
from openagents_json.engine import Engine, KeyConflict, VersionExists
from tests.conftest import Server

KEY = make_key(token_bytes)
Open = Callable[..., Engine]
DOCUMENT: dict[str, Any] = {
    "id": "w",
    "inputs": {
        "n": {"type": "number", "required": True},
        "m": {"type": "object", "default": {"a": [1]}},
    },
    "steps": [{"id": "go", "wait_for": "go"}],
    "output": "{{input}}",
}


@pytest.fixture(params=[False, True], ids=["plain", "encrypted"])
def opened(server: Server, request: pytest.FixtureRequest) -> Iterator[Open]:
    prefix = server.prefix()
    with ExitStack() as stack:

        def connect(actor: str = "program", **options: Any) -> Engine:
            keys = (KEY,) if request.param else ()
            options = {
                "workers": 0,
                "partitions": 2,
                "encryption_keys": keys,
                "actor": actor,
                **options,
            }
            return stack.enter_context(
                Engine.connect(server.url, prefix=prefix, **options)
            )

        yield connect


def refused(asked: Callable[[], Any], run: str, differs: str) -> None:
    with pytest.raises(KeyConflict, match=differs) as told:
        asked()
    assert (told.value.run, told.value.code) == (run, "idempotency_conflict")
    assert run in str(told.value)
    assert "private" not in str(told.value)


def test_other_inputs_are_a_conflict_and_equal_ones_the_run(opened: Open) -> None:
    one, two = opened(), opened()
    run = one.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    for engine in (one, two):
        # Defaults that are given, an order, a tuple, a whole number with a point: the same in other words.
        for same in ({"n": 1}, {"m": {"a": (1,)}, "n": 1.0}, {"n": 1, "m": {"a": [1]}}):
            assert engine.start(DOCUMENT, same, idempotency_key="k") == run
        for other in ({"n": 2}, {"n": 1, "m": {"private": 1}}):
            refused(
                partial(engine.start, DOCUMENT, other, idempotency_key="k"),
                run,
                "other inputs .'[nm]'",
            )
            refused(
                partial(engine.run, DOCUMENT, other, idempotency_key="k"),
                run,
                "other inputs",
            )
    before = one.history(run)
    assert len(one.runs()) == 1
    one.signal(run, "go")
    assert one.state(run).status == "completed"
    refused(
        lambda: two.start(DOCUMENT, {"n": 2}, idempotency_key="k"), run, "other inputs"
    )
    assert two.start(DOCUMENT, {"n": 1}, idempotency_key="k") == run
    assert one.history(run)[: len(before)] == before


def test_a_document_is_the_same_however_its_numbers_are_written(opened: Open) -> None:
    engine = opened()
    minute: dict[str, Any] = {**DOCUMENT, "id": "minute", "timeout": 60}
    same = {**minute, "timeout": 6e1}
    run = engine.start(minute, {"n": 1}, idempotency_key="k")
    assert engine.start(same, {"n": 1}, idempotency_key="k") == run
    assert engine.publish(minute) == engine.publish(same)
    with pytest.raises(VersionExists, match="timeout"):
        engine.publish({**minute, "timeout": 61})


def test_erased_inputs_are_compared_with_nothing(opened: Open) -> None:
    engine = opened()
    run = engine.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    engine.signal(run, "go", idempotency_key="s")
    engine.redact(run, "asked for")
    assert engine.start(DOCUMENT, {"n": 2}, idempotency_key="k") == run
    refused(
        lambda: engine.start({**DOCUMENT, "output": 1}, {"n": 2}, idempotency_key="k"),
        run,
        "another workflow",
    )


def test_without_its_key_nothing_is_learned_of_an_encrypted_run(server: Server) -> None:
    prefix = server.prefix()
    with Engine.connect(
        server.url, prefix=prefix, workers=0, encryption_keys=(KEY,)
    ) as engine:
        engine.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    with Engine.connect(
        server.url, prefix=prefix, workers=0, encryption_keys=(make_key(token_bytes),)
    ) as engine:
        told = set()
        for n in (1, 2):
            with pytest.raises(EncryptionError) as error:
                engine.start(DOCUMENT, {"n": n}, idempotency_key="k")
            told.add(str(error.value))
        assert len(told) == 1


def test_true_and_one_are_different_inputs(opened: Open) -> None:
    engine, document = opened(), {"id": "any", "steps": DOCUMENT["steps"]}
    run = engine.start(document, {"x": [1]}, idempotency_key="k")
    refused(
        lambda: engine.start(document, {"x": [True]}, idempotency_key="k"),
        run,
        "other inputs",
    )
    refused(
        lambda: engine.start(document, {"x": [1], "y": None}, idempotency_key="k"),
        run,
        "'y'",
    )


def test_what_a_run_was_opened_again_with_is_not_what_it_was_asked_for_with(
    opened: Open,
) -> None:
    engine = opened()
    run = engine.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    engine.cancel(run, force=True)
    engine.retry(run, step="go", inputs={"n": 2})
    assert engine.start(DOCUMENT, {"n": 1}, idempotency_key="k") == run
    refused(
        lambda: engine.start(DOCUMENT, {"n": 2}, idempotency_key="k"),
        run,
        "other inputs",
    )


def test_of_many_starts_only_the_one_with_the_taken_key_is_refused(
    opened: Open,
) -> None:
    engine = opened()
    starts = [(DOCUMENT, {"n": n}) for n in (1, 2, 1, 3)]
    runs = engine.start_many(starts, keys=["k", "k", "k", None])
    assert [run.ok for run in runs] == [True, False, True, True]
    assert isinstance(runs[1].error, KeyConflict)
    assert runs[0] == runs[2] == engine.start_many(starts[:1], keys=["k"])[0]
    with pytest.raises(KeyConflict):
        engine.start_many([(DOCUMENT, {"n": 4})], keys=["k"])


def test_another_workflow_is_a_conflict_and_another_version_of_a_name_is_not(
    opened: Open,
) -> None:
    engine = opened()
    run = engine.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    other = {**DOCUMENT, "output": "{{input.n}}"}
    refused(
        lambda: engine.start(other, {"n": 1}, idempotency_key="k"),
        run,
        "another workflow",
    )
    engine.publish(DOCUMENT, alias="stable")
    for reference in ("w", "w@1.0.0", "w@^1", "w@stable"):
        assert engine.start(reference, {"n": 1}, idempotency_key="k") == run
    # A message that is delivered again after a deployment still means the run that it began.
    engine.publish({**other, "version": "1.1.0"}, alias="stable")
    for reference in ("w", "w@1.0.0", "w@^1", "w@stable"):
        assert engine.start(reference, {"n": 1}, idempotency_key="k") == run
        refused(
            partial(engine.start, reference, {"n": 2}, idempotency_key="k"),
            run,
            "other inputs",
        )
    refused(
        lambda: engine.start("w@1.1.0", {"n": 1}, idempotency_key="k"),
        run,
        "another workflow",
    )


def test_another_id_is_another_workflow_however_the_runs_lie(opened: Open) -> None:
    engine, other = opened(), {**DOCUMENT, "id": "v"}
    run = engine.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    for client in (engine, opened()):
        refused(
            partial(client.start, other, {"n": 1}, idempotency_key="k"),
            run,
            "another workflow .w, not v",
        )
    runs = engine.start_many(
        [(other, {"n": 1}), (DOCUMENT, {"n": 1}), (other, {"n": 1})],
        keys=["k", "k", None],
    )
    assert [started.ok for started in runs] == [False, True, True]
    assert runs[1] == run
    both = engine.start_many(
        [(DOCUMENT, {"n": 1}), (other, {"n": 1})], keys=["new", "new"]
    )
    assert [started.ok for started in both] == [True, False]
    assert len(engine.runs()) == 3
    assert engine.doctor() == []


def test_another_caller_by_name_is_a_conflict_that_tells_nothing(opened: Open) -> None:
    alice, bob, nobody = opened("alice"), opened("bob"), opened()
    run = alice.start(DOCUMENT, {"n": 1}, idempotency_key="k")
    refused(
        lambda: bob.start(DOCUMENT, {"n": 1}, idempotency_key="k"),
        run,
        "another caller",
    )
    refused(
        lambda: bob.start(DOCUMENT, {"n": 2}, idempotency_key="k"),
        run,
        "another caller",
    )
    assert alice.start(DOCUMENT, {"n": 1}, idempotency_key="k") == run
    assert nobody.start(DOCUMENT, {"n": 1}, idempotency_key="k") == run


def test_one_of_two_different_requests_at_once_begins(opened: Open) -> None:
    engines = [opened() for _ in range(4)]
    barrier, told = threading.Barrier(4), list[Any]()

    def begin(engine: Engine, n: int) -> None:
        barrier.wait()
        try:
            told.append((n, engine.start(DOCUMENT, {"n": n}, idempotency_key="k")))
        except KeyConflict as error:
            told.append((None, error.run))

    threads = [
        threading.Thread(target=begin, args=(engine, n))
        for n, engine in enumerate(engines)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run for _, run in told}) == 1
    [(n, run)] = [item for item in told if item[0] is not None]
    assert engines[0].state(run).inputs["n"] == n


def test_forks_and_signals_go_by_the_same_rule(opened: Open) -> None:
    engine = opened()
    run = engine.start(DOCUMENT, {"n": 1})
    fork = engine.replay.fork(run, 1, inputs={"n": 2}, idempotency_key="f")
    assert engine.replay.fork(run, 1, inputs={"n": 2.0}, idempotency_key="f") == fork
    refused(
        lambda: engine.replay.fork(run, 1, inputs={"n": 3}, idempotency_key="f"),
        fork,
        "other inputs",
    )
    refused(
        lambda: engine.replay.fork(run, 1, idempotency_key="f"), fork, "other inputs"
    )
    for _ in range(2):
        engine.signal(run, "go", {"private": 1}, idempotency_key="s")
    refused(
        lambda: engine.signal(run, "go", {"private": 2}, idempotency_key="s"),
        run,
        "another payload",
    )
    refused(
        lambda: engine.signal(run, "go", idempotency_key="s"), run, "another payload"
    )
    assert [event.type for event in engine.history(run)].count("SignalReceived") == 1


def test_who_a_signal_is_sent_for_stands_beside_who_sends_it(opened: Open) -> None:
    engine = opened("service")
    run = engine.start(DOCUMENT, {"n": 1})
    engine.signal(run, "go", by="alice", reason="she said so")
    [sent] = [event for event in engine.history(run) if event.type == "SignalReceived"]
    assert (sent.actor, sent.data["by"]) == ("service", "alice")
