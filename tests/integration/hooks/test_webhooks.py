"""Webhooks: each event is told once, signed, whoever dies, however many tell, and whatever the receiver answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from eventstore.errors import StoreUnavailable
from openagents_json.catalog.registry import Registry
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.webhook import deliver, signature
from openagents_json.engine import Engine
from openagents_json.engine.hooks.incoming import Incoming
from openagents_json.engine.hooks.signatures import verify
from openagents_json.engine.hooks.spec import Signature
from openagents_json.engine.webhooks.dispatcher import CONSUMER, Dispatcher
from openagents_json.engine.webhooks.errors import InvalidWebhook, WebhookNotFound
from openagents_json.engine.webhooks.messages import WORKFLOW, name_of
from tests.conftest import Server, SharedServers, wait_for
from tests.integration.services.calling import ASKING

pytestmark = pytest.mark.one_worker

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUICK = {"delay_seconds": 0}
NOTHING = {
    "id": "nothing",
    "version": "1.0.0",
    "steps": [{"id": "n", "sleep": 0}],
}


class Receiver(ThreadingHTTPServer):
    """Answers with statuses as they were given, then 204, and remembers what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def messages(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((headers, body))
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("OPENAGENTS_HTTP_PRIVATE", "127.0.0.0/8")
    monkeypatch.setenv("OPENAGENTS_SECRET_TOLD", SECRET)
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def valkey(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture
def engine(valkey: Server) -> Iterator[Engine]:
    """An engine that works on a store of its own, which has a webhook for nothing else."""
    components = Registry()
    components.add(deliver)
    with Engine.connect(
        valkey.url,
        prefix=valkey.prefix(),
        components=components,
        workers=2,
        partitions=2,
        actor="owner",
    ) as opened:
        yield opened


def spec(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {"url": receiver.url, "secret": "TOLD", "retry": QUICK, **more}


def deliveries(engine: Engine) -> list[Any]:
    return [row for row in engine.views.runs().items if row.workflow == WORKFLOW]


def dispatched(engine: Engine) -> int:
    """Dispatch all that is in the log; gives for how many deliveries runs were asked."""
    dispatcher = engine.webhooks.dispatcher()
    asked, before = 0, -1
    while before != asked:
        before = asked
        asked += dispatcher.advance(0)
    return asked


def ended(engine: Engine, document: Any = NOTHING) -> str:
    run = str(engine.start(document, labels={"team": "a"}))
    engine.wait(run, timeout=60)
    return run


def all_delivered(engine: Engine) -> None:
    for row in deliveries(engine):
        assert engine.wait(row.id, timeout=60).status == "completed"


def test_an_end_is_told_again_until_it_is_taken_and_signed_each_time(
    engine: Engine, receiver: Receiver
) -> None:
    engine.webhooks.register("ends", spec(receiver))
    receiver.statuses = [500, 307]
    run = ended(engine)
    assert dispatched(engine) == 1
    wait_for(lambda: len(receiver.got) == 3, 60)
    all_delivered(engine)
    for headers, body in receiver.got:
        incoming = Incoming(list(headers.items()), body)
        told = Signature(preset="standard", secrets=["TOLD"])
        verify(told, incoming, {"TOLD": SECRET}.get, engine.clock.now_ms())
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    message = receiver.messages()[0]
    assert (message["type"], message["data"]["run"]) == ("run.completed", run)
    assert message["data"]["labels"] == {"team": "a"}
    [delivery] = deliveries(engine)
    assert delivery.labels == {"webhook": "ends"}
    # Of deliveries nothing is told.
    assert dispatched(engine) == 0


class _Dying(Dispatcher):
    """A dispatcher that dies between its two writes."""

    def _keep(self, *_: Any) -> None:
        raise StoreUnavailable("here", "it died")


def test_who_dies_before_the_position_is_kept_leaves_one_delivery(
    engine: Engine, receiver: Receiver
) -> None:
    engine.webhooks.register("ends", spec(receiver))
    ended(engine)
    dying = _Dying(engine.core, engine.webhooks.dispatcher().subscriptions)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            dying.advance(0)
    # The next one begins where nobody has been, and asks for the same run.
    assert dispatched(engine) == 1
    all_delivered(engine)
    assert (len(deliveries(engine)), len(receiver.got)) == (1, 1)


def test_two_dispatchers_at_once_deliver_each_event_once(
    engine: Engine, receiver: Receiver
) -> None:
    engine.webhooks.register("ends", spec(receiver))
    runs = {ended(engine) for _ in range(4)}
    threads = [threading.Thread(target=dispatched, args=(engine,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    all_delivered(engine)
    assert len(deliveries(engine)) == 4
    assert sorted(m["data"]["run"] for m in receiver.messages()) == sorted(runs)


def test_a_thread_of_a_service_dispatches_and_one_at_a_time_does(
    engine: Engine, receiver: Receiver
) -> None:
    engine.webhooks.register("ends", spec(receiver))
    with engine.webhooks.dispatching(), engine.webhooks.dispatching():
        first = ended(engine)
        wait_for(lambda: bool(receiver.got), 60)
        assert [lease.name for lease in engine.locks.all()] == ["webhooks"]
    all_delivered(engine)
    assert [m["data"]["run"] for m in receiver.messages()] == [first]


def told(engine: Engine, receiver: Receiver) -> Sequence[str]:
    dispatched(engine)
    all_delivered(engine)
    return sorted(f"{m['type']} {m['data']['workflow']}" for m in receiver.messages())


def test_events_and_runs_are_chosen(engine: Engine, receiver: Receiver) -> None:
    before = ended(engine)
    chosen = spec(receiver, events=["RunStarted", "RunPaused"], workflows=["asking"])
    engine.webhooks.register("some", chosen)
    other = spec(receiver, events=["RunPaused"], labels={"team": "b"})
    engine.webhooks.register("none", other)
    ended(engine)
    run = str(engine.start(ASKING))
    engine.pause(run)
    assert told(engine, receiver) == ["run.paused asking", "run.started asking"]
    assert before not in str(receiver.messages())
    engine.cancel(run, force=True)


def test_while_it_is_disabled_nothing_is_told_nor_later(
    engine: Engine, receiver: Receiver
) -> None:
    engine.webhooks.register("ends", spec(receiver))
    ended(engine)
    dispatched(engine)
    stream = engine.webhooks._stream()
    assert any(stream.checkpoint(CONSUMER, partition) for partition in range(2))
    engine.webhooks.register("ends", spec(receiver, enabled=False))
    # What nobody reads keeps no run in the store.
    assert not any(stream.checkpoint(CONSUMER, partition) for partition in range(2))
    ended(engine)
    assert dispatched(engine) == 0
    engine.webhooks.register("ends", spec(receiver))
    assert dispatched(engine) == 0
    ended(engine)
    assert dispatched(engine) == 1
    all_delivered(engine)
    engine.webhooks.delete("ends")
    for call in (engine.webhooks.get, engine.webhooks.delete):
        with pytest.raises(WebhookNotFound):
            call("ends")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"url": "ftp://x"}, "url: String should match"),
        ({"url": "https://user:word@x/"}, "url: String should match"),
        ({"events": ["Nothing"]}, "there is no event 'Nothing'"),
        ({"events": []}, "events"),
        ({"secret": "a-b"}, "secret"),
        ({"other": 1}, "other"),
    ],
)
def test_what_is_wrong_with_a_webhook_is_told(
    engine: Engine, changes: dict[str, Any], reason: str
) -> None:
    asked = {"url": "https://x", "secret": "A", **changes}
    with pytest.raises(InvalidWebhook, match=reason):
        engine.webhooks.register("wrong", asked)
    with pytest.raises(InvalidWebhook):
        engine.webhooks.register("No Name", {"url": "https://x", "secret": "A"})


CONTEXT = Context(
    "r",
    "s",
    "w",
    1,
    "key",
    None,
    CancelToken(),
    lambda: 1_614_265_330_000,
    lambda _: None,
)


def test_no_private_address_is_reached_and_a_secret_is_base64(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.statuses = [400]
    with pytest.raises(RetryableError, match="status 400"):
        deliver(receiver.url, SECRET, "msg_1", {}, CONTEXT)
    with pytest.raises(NonRetryableError, match="base64"):
        deliver(receiver.url, "!", "msg_1", {}, CONTEXT)
    monkeypatch.delenv("OPENAGENTS_HTTP_PRIVATE")
    with pytest.raises(NonRetryableError, match="not public"):
        deliver(receiver.url, SECRET, "msg_1", {}, CONTEXT)
    assert len(receiver.got) == 1


def test_a_signature_is_that_of_the_specification() -> None:
    body = b'{"test": 2432232314}'
    given = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    assert given == f"v1,{base64.b64encode(mac).decode()}"


def test_types_of_messages_are_those_of_the_specification() -> None:
    assert name_of("RunCompleted") == "run.completed"
    assert name_of("StepAttemptFailed") == "step.attempt_failed"
