"""What other services post: checked, kept, and carried out once, whoever dies and however often it is sent."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import pytest
from httpx import Client, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.errors import StoreUnavailable
from eventstore.redis.coordination import hook_deliveries
from eventstore.redis.coordination.records import RecordTable
from openagents_json.engine import Engine
from openagents_json.engine.hooks import service
from openagents_json.engine.hooks.actions import StartsAndSignals
from openagents_json.engine.hooks.errors import (
    DeliveryDiffers,
    DeliveryNotFound,
    HookDisabled,
    HookNotFound,
    HookNotMapped,
    InvalidHook,
    SignatureInvalid,
)
from openagents_json.engine.hooks.incoming import MOST_BODY_BYTES, Incoming
from openagents_json.engine.hooks.service import Hooks
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import ASKING, GREETING, calling, engine_on

pytestmark = pytest.mark.one_worker

SECRET = "a secret"
SIGNED = {"preset": "github", "secrets": ["GREETINGS"]}
GREETS: dict[str, Any] = {
    "signature": SIGNED,
    "filter": "body.get('action') != 'ignored'",
    "start": {
        "workflow": "greeting@^1",
        "inputs": {"name": "{{ body.name }}"},
        "labels": {"from": "{{ headers['user-agent'] }}"},
    },
}


@pytest.fixture(scope="module")
def valkey(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engine(valkey: Server) -> Iterator[Engine]:
    with engine_on(valkey) as opened:
        opened.publish(GREETING)
        yield opened


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAGENTS_SECRET_GREETINGS", SECRET)


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as client:
        yield client


@pytest.fixture
def hook(engine: Engine, request: pytest.FixtureRequest) -> str:
    name = f"h{abs(hash(request.node.name))}"
    engine.hooks.register(name, GREETS)
    return name


def headers_of(body: bytes, delivery: str) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {
        "x-hub-signature-256": f"sha256={digest}",
        "x-github-delivery": delivery,
        "content-type": "application/json",
        "user-agent": "octocat",
    }


def incoming(value: Any, delivery: str = "one") -> Incoming:
    body = json.dumps(value).encode()
    return Incoming(list(headers_of(body, delivery).items()), body)


def post(api: Client, hook: str, value: Any, delivery: str = "one") -> Response:
    body = json.dumps(value).encode()
    headers = headers_of(body, delivery)
    return api.post(f"/hooks/{hook}", content=body, headers=headers)


def test_a_delivery_starts_one_run_however_often_it_comes(
    engine: Engine, api: Client, hook: str
) -> None:
    first = post(api, hook, {"name": "Ada"})
    again = post(api, hook, {"name": "Ada"})
    assert (first.status_code, again.status_code) == (202, 200)
    run = first.json()["run"]
    assert again.json() == {**first.json(), "repeated": True}
    assert engine.wait(run, timeout=60).output == "Hello, Ada!"
    started = engine.history(run)[0]
    assert (started.actor, started.data["labels"]) == (
        f"hook:{hook}",
        {"from": "octocat"},
    )
    [delivery] = api.get(f"/v1/hooks/{hook}/deliveries").json()
    assert (delivery["id"], delivery["status"], delivery["run"]) == (
        "one",
        "started",
        run,
    )
    shown = api.get(f"/v1/hooks/{hook}/deliveries/one").json()
    assert shown["body"] == {"name": "Ada"}
    assert shown["headers"]["x-hub-signature-256"] == "***"
    assert SECRET not in json.dumps(shown)


def test_of_many_deliveries_with_a_key_the_last_one_begins(
    valkey: Server, engine: Engine, api: Client, hook: str
) -> None:
    """Also where another instance takes some, one dies before it says so, and one comes twice."""
    debounce = {"key": "{{ body.of }}", "seconds": 1}
    spec = {**GREETS, "start": {**GREETS["start"], "debounce": debounce}}
    engine.hooks.register(hook, spec)
    dying = Hooks(
        cast(StartsAndSignals, _Dying(engine, after=True)), {"GREETINGS": SECRET}.get
    )
    other = engine.hooks.receive(hook, incoming({"name": "Eve", "of": 7}, "other")).run
    with Engine.connect(
        valkey.url, prefix=engine.core.store.keys.prefix, components=[]
    ) as second:
        first = post(api, hook, {"name": "a", "of": "doc"}, "1").json()["run"]
        between = second.hooks.receive(hook, incoming({"name": "b", "of": "doc"}, "2"))
        with pytest.raises(StoreUnavailable):
            dying.receive(hook, incoming({"name": "c", "of": "doc"}, "3"))
        last = post(api, hook, {"name": "d", "of": "doc"}, "4").json()["run"]
        again = second.hooks.receive(hook, incoming({"name": "a", "of": "doc"}, "1"))
    assert (again.run, again.repeated) == (first, True)
    third = engine.hooks.receive(hook, incoming({"name": "c", "of": "doc"}, "3")).run
    ends = {run: engine.wait(run, timeout=60) for run in (first, between.run, third)}
    assert {end.status for end in ends.values()} == {"cancelled"}
    assert engine.wait(last, timeout=60).output == "Hello, d!"
    assert engine.wait(other, timeout=60).output == "Hello, Eve!"
    listed = {x.id: (x.status, x.run) for x in engine.hooks.deliveries(hook)}
    assert listed["1"] == ("started", first)
    assert listed["4"] == ("started", last)


@pytest.mark.parametrize("key", ["", "x" * 201, True, 1.5, None, ["a"]])
def test_what_is_no_key_to_debounce_by_is_told(
    engine: Engine, api: Client, hook: str, key: Any
) -> None:
    debounce = {"key": "{{ body.of }}", "seconds": 1}
    spec = {**GREETS, "start": {**GREETS["start"], "debounce": debounce}}
    engine.hooks.register(hook, spec)
    refused = post(api, hook, {"name": "a", "of": key})
    assert (refused.status_code, refused.json()["code"]) == (422, "hook_not_mapped")
    assert "/start/debounce/key" in refused.json()["detail"]


def test_what_is_not_let_in_is_kept_and_starts_nothing(
    engine: Engine, api: Client, hook: str
) -> None:
    answer = post(api, hook, {"action": "ignored", "name": "x"})
    assert (answer.status_code, answer.json()["status"]) == (200, "filtered")
    assert engine.hooks.deliveries(hook)[0].run == ""


def test_what_cannot_be_mapped_is_told_and_carried_out_once_the_hook_fits(
    engine: Engine, api: Client, hook: str
) -> None:
    refused = post(api, hook, {"wrong": "Ada"})
    assert (refused.status_code, refused.json()["code"]) == (422, "hook_not_mapped")
    [failed] = engine.hooks.deliveries(hook)
    assert (failed.status, "/start/inputs/name" in failed.error) == ("failed", True)
    mended = {
        **GREETS,
        "start": {**GREETS["start"], "inputs": "{{ {'name': body.wrong} }}"},
    }
    engine.hooks.register(hook, mended)
    done = api.post(f"/v1/hooks/{hook}/deliveries/one/replay").json()
    assert engine.wait(done["run"], timeout=60).output == "Hello, Ada!"
    assert engine.hooks.delivery(hook, "one").status == "started"


def test_a_delivery_is_carried_out_again_when_asked_and_once_for_a_key(
    engine: Engine, hook: str
) -> None:
    run = engine.hooks.receive(hook, incoming({"name": "a"})).run
    again = {
        engine.hooks.replay(hook, "one", idempotency_key="k").run for _ in range(2)
    }
    other = engine.hooks.replay(hook, "one").run
    assert len({run, other} | again) == 3
    assert engine.hooks.delivery(hook, "one").run == other


def test_an_id_stands_for_one_body(engine: Engine, api: Client, hook: str) -> None:
    post(api, hook, {"name": "a"})
    answer = post(api, hook, {"name": "b"})
    assert (answer.status_code, answer.json()["code"]) == (422, "delivery_differs")
    with pytest.raises(DeliveryDiffers):
        engine.hooks.receive(hook, incoming({"name": "c"}))


class _Dying:
    """An engine that dies at a point, as far as others can tell."""

    def __init__(self, engine: Engine, *, after: bool) -> None:
        self._engine = engine
        self._after = after
        self.core, self.actor = engine.core, engine.actor

    def acting_as(self, actor: str) -> _Dying:
        return _Dying(self._engine.acting_as(actor), after=self._after)

    def start(self, *args: Any, **options: Any) -> str:
        if self._after:
            self._engine.start(*args, **options)
        raise StoreUnavailable("here", "it died")

    def start_debounced(self, *args: Any, **options: Any) -> str:
        self._engine.start_debounced(*args, **options)
        raise StoreUnavailable("here", "it died")


@pytest.mark.parametrize("after", [False, True])
def test_who_dies_before_or_after_the_start_leaves_one_run(
    engine: Engine, hook: str, after: bool
) -> None:
    dying = Hooks(
        cast(StartsAndSignals, _Dying(engine, after=after)), {"GREETINGS": SECRET}.get
    )
    with pytest.raises(StoreUnavailable):
        dying.receive(hook, incoming({"name": "Ada"}))
    assert engine.hooks.deliveries(hook)[0].status == "received"
    # What the hook would make of it now counts no more: it may have begun.
    engine.hooks.register(
        hook, {**GREETS, "start": {"workflow": "greeting", "inputs": {"name": "x"}}}
    )
    received = engine.hooks.receive(hook, incoming({"name": "Ada"}))
    assert received.repeated
    assert engine.wait(received.run, timeout=60).output == "Hello, Ada!"
    runs = [row.id for row in engine.views.runs().items if row.id == received.run]
    assert runs == [received.run]
    assert engine.hooks.receive(hook, incoming({"name": "Ada"})).run == received.run


def test_a_signal_reaches_its_run_once(engine: Engine, api: Client, hook: str) -> None:
    run = str(engine.start(ASKING))
    spec = {"signature": SIGNED, "signal": {"run": "{{ body.run }}", "name": "answer"}}
    engine.hooks.register(hook, spec)
    answers = [post(api, hook, {"run": run, "n": 1}) for _ in range(2)]
    assert [answer.json()["status"] for answer in answers] == ["signalled"] * 2
    assert engine.wait(run, timeout=60).output == {"run": run, "n": 1}
    signals = [e for e in engine.history(run) if e.type == "SignalReceived"]
    assert len(signals) == 1
    gone = post(api, hook, {"run": "nothing"}, "two")
    assert (gone.status_code, gone.json()["code"]) == (404, "run_not_found")
    assert engine.hooks.delivery(hook, "two").status == "failed"


def test_what_is_not_signed_is_neither_kept_nor_read(
    engine: Engine, api: Client, hook: str
) -> None:
    body = b"{"
    signed = headers_of(body, "one")
    for headers in ({}, {**signed, "x-hub-signature-256": "sha256=00"}):
        answer = api.post(f"/hooks/{hook}", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    with pytest.raises(SignatureInvalid):
        engine.hooks.receive(hook, Incoming([], b"{}"))
    assert engine.hooks.deliveries(hook) == []
    assert api.post("/hooks/none", content=body, headers=signed).status_code == 404
    assert api.get(f"/hooks/{hook}").status_code == 405


def test_a_large_body_is_refused_before_it_is_read(api: Client, hook: str) -> None:
    large = b" " * (MOST_BODY_BYTES + 1)

    def pieces() -> Iterator[bytes]:
        yield large

    for content in (large, pieces()):
        answer = api.post(f"/hooks/{hook}", content=content)
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@given(
    st.one_of(
        st.binary(max_size=50),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ).map(lambda value: json.dumps(value).encode()),
        st.just(b"[" * 100_000),
    )
)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_body_is_an_error_of_the_server(
    api: Client, engine: Engine, body: bytes
) -> None:
    engine.hooks.register("fuzzed", GREETS)
    delivery = hashlib.sha256(body).hexdigest()
    answer = api.post("/hooks/fuzzed", content=body, headers=headers_of(body, delivery))
    assert answer.status_code in (200, 202, 400, 422), answer.text


def test_of_many_deliveries_the_newest_are_kept(
    engine: Engine, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_deliveries, "MOST_DELIVERIES", 3)
    for number in range(5):
        engine.hooks.receive(hook, incoming({"action": "ignored"}, str(number)))
    kept = [delivery.id for delivery in engine.hooks.deliveries(hook)]
    assert sorted(kept) == ["2", "3", "4"]
    with pytest.raises(DeliveryNotFound):
        engine.hooks.delivery(hook, "0")
    engine.hooks.delete(hook)
    for call in (engine.hooks.get, engine.hooks.deliveries, engine.hooks.delete):
        with pytest.raises(HookNotFound):
            call(hook)


def test_a_deletion_that_was_cut_short_is_finished_when_it_is_asked_for_again(
    engine: Engine, hook: str
) -> None:
    engine.hooks.receive(hook, incoming({"action": "ignored"}, "0"))
    RecordTable(engine.core.store, "hooks").remove(hook)
    with pytest.raises(HookNotFound):
        engine.hooks.delete(hook)
    engine.hooks.register(hook, GREETS)
    assert engine.hooks.deliveries(hook) == []


def test_a_hook_can_be_disabled(engine: Engine, hook: str) -> None:
    engine.hooks.register(hook, {**GREETS, "enabled": False})
    with pytest.raises(HookDisabled):
        engine.hooks.receive(hook, incoming({}))


@pytest.mark.parametrize(
    "changes",
    [
        {"filter": "body."},
        {"filter": "nobody.x"},
        {"start": {"workflow": "greeting", "inputs": {"name": "{{ secrets.A }}"}}},
        {"start": {"workflow": "greeting", "inputs": {"name": "{{ body | nothing }}"}}},
    ],
)
def test_an_expression_that_cannot_be_is_refused(
    engine: Engine, changes: Mapping[str, Any]
) -> None:
    with pytest.raises(InvalidHook):
        engine.hooks.register("wrong", {**GREETS, **changes})


def test_inputs_and_runs_have_to_be_what_they_are(engine: Engine, hook: str) -> None:
    engine.hooks.register(
        hook,
        {
            "signature": SIGNED,
            "start": {"workflow": "greeting", "inputs": "{{ body }}"},
        },
    )
    with pytest.raises(HookNotMapped):
        engine.hooks.receive(hook, incoming([1]))
    with pytest.raises(InvalidHook):
        engine.hooks.register("No Name", GREETS)


def test_who_has_proved_nothing_hears_no_name_of_a_secret(
    engine: Engine,
    api: Client,
    hook: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.delenv("OPENAGENTS_SECRET_GREETINGS")
    answer = post(api, hook, {"name": "Ada"})
    assert (answer.status_code, answer.json()["code"]) == (503, "hook_secret_unusable")
    assert "GREETINGS" not in answer.text
    assert "set OPENAGENTS_SECRET_GREETINGS" in caplog.text
    assert engine.hooks.deliveries(hook) == []


def test_slack_is_told_that_somebody_is_there(engine: Engine, api: Client) -> None:
    signature = {"preset": "slack", "secrets": ["GREETINGS"]}
    engine.hooks.register("slack", {**GREETS, "signature": signature})
    body = b'{"type":"url_verification","challenge":"abc"}'
    time = str(engine.clock.now_ms() // 1000)
    digest = hmac.new(
        SECRET.encode(), f"v0:{time}:".encode() + body, "sha256"
    ).hexdigest()
    headers = {"x-slack-request-timestamp": time, "x-slack-signature": f"v0={digest}"}
    answer = api.post("/hooks/slack", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"challenge": "abc"})
    assert engine.hooks.deliveries("slack") == []


def test_of_an_encrypted_store_no_body_can_be_read(valkey: Server) -> None:
    with engine_on(valkey, encryption_keys=["a" * 43 + "="]) as engine:
        engine.publish(GREETING)
        engine.hooks.register("secret", GREETS)
        engine.hooks.receive("secret", incoming({"name": "Rumpelstiltskin"}))
        kept = engine.core.connection.command(
            b"HGETALL", engine.core.store.keys.hook("secret")[0]
        )
        assert "Rumpelstiltskin" not in str(kept)
        assert engine.hooks.delivery("secret", "one").body == {
            "name": "Rumpelstiltskin"
        }


def test_ids_that_no_address_can_hold_are_hashed() -> None:
    ids = {
        service._delivery_id(given_id, b"signed")
        for given_id in ("a/b", "..", "x" * 300, "", "é")
    }
    assert len(ids) == 5
    assert all(one.startswith("sha256-") for one in ids)
    assert service._delivery_id("evt_1.2", b"") == "evt_1.2"
