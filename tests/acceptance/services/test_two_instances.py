"""Two instances of the API on one store, killed and begun anew by turns while they are asked: nobody loses anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import cycle
from pathlib import Path

from httpx import Client, Limits, TransportError

from openagents_json.engine import Engine, RunFilter
from openagents_json.server.serving import IDLE_SECONDS
from tests.acceptance.services.test_serving import serving
from tests.conftest import SharedServers, wait_for
from tests.fork_server import ForkedProcess

TURNS = 2
STARTS_IN_A_TURN = 40
WATCHED = {
    "id": "watched",
    "steps": [{"id": f"s{n}", "wait_for": {"signal": f"go{n}"}} for n in range(TURNS)],
}
WAITING = {"id": "waiting", "steps": [{"id": "s", "wait_for": {"signal": "go"}}]}


class Instances:
    """Two services on a store, and where they are now."""

    def __init__(self, store: tuple[str, ...], logs: Path, ends: ExitStack) -> None:
        self.urls = ["", ""]
        self._store = store
        self._logs = logs
        self._ends = ends
        self._processes: list[ForkedProcess | None] = [None, None]
        for index in (0, 1):
            self.begin(index)

    def begin(self, index: int) -> None:
        """Begin an instance in the place of the one that was there."""
        log = self._logs / f"log{index}"
        process, url = self._ends.enter_context(
            serving("--open", *self._store, log=log)
        )
        self._processes[index] = process
        self.urls[index] = url

    def kill(self, index: int) -> None:
        """Let an instance die as it is."""
        process = self._processes[index]
        assert process is not None
        process.kill()
        process.wait()


class Caller:
    """Somebody who asks the next instance when one does not answer, as a proxy before them would."""

    def __init__(self, instances: Instances, first: int) -> None:
        order = (first, 1 - first)
        self._urls = (instances.urls[index] for index in cycle(order))
        self._client = Client(timeout=120)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def start(self, key: str) -> str:
        """Start a run under a key until that is acknowledged, and return its id."""
        for url in self._urls:
            with suppress(TransportError):
                answer = self._client.post(
                    f"{url}/v1/runs",
                    json={"workflow": WAITING},
                    headers={"Idempotency-Key": key},
                )
                assert answer.is_success, answer.text
                return str(answer.json()["id"])
        raise AssertionError("there is always a next one")

    def follow(self, run: str, seen: list[int]) -> None:
        """Follow a run to its end, each time behind what was seen."""
        for url in self._urls:
            with suppress(TransportError):
                if self._follow_on(url, run, seen):
                    return

    def _follow_on(self, url: str, run: str, seen: list[int]) -> bool:
        """Follow a run on one connection, and tell whether its end was reached."""
        headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
        feed_url = f"{url}/v1/runs/{run}/events"
        with self._client.stream("GET", feed_url, headers=headers) as feed:
            for line in feed.iter_lines():
                if line.startswith("id: "):
                    seen.append(int(line.removeprefix("id: ")))
                if line == "event: end":
                    return True
        return False


@contextmanager
def threads(*bodies: Callable[[], None]) -> Iterator[None]:
    """Let threads run beside a block, and raise what they raise behind it."""
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(body) for body in bodies]
        yield
        for each in running:
            each.result()


def test_two_instances_that_die_by_turns_lose_no_start_and_no_event(
    shared_servers: SharedServers, tmp_path: Path
) -> None:
    server = shared_servers.of("valkey")
    prefix = server.prefix()
    with (
        Engine.connect(
            server.url, prefix=prefix, components=[], partitions=2
        ) as engine,
        ExitStack() as ends,
    ):
        store = ("--url", server.url, "--prefix", prefix)
        instances = Instances(store, tmp_path, ends)
        run = engine.start(WATCHED)
        seen: list[list[int]] = [[], []]
        begun: list[str] = []
        allowed = threading.Semaphore(0)

        def load() -> None:
            with Caller(instances, 0) as caller:
                for number in range(TURNS * STARTS_IN_A_TURN):
                    allowed.acquire()
                    begun.append(caller.start(f"start-{number}"))

        def watch(first: int) -> None:
            with Caller(instances, first) as caller:
                caller.follow(run.id, seen[first])

        def have_begun(count: int) -> Callable[[], bool]:
            return lambda: len(begun) >= count

        with threads(load, partial(watch, 0), partial(watch, 1)):
            for turn in range(TURNS):
                if turn > 0:
                    instances.begin((turn - 1) % 2)
                allowed.release(STARTS_IN_A_TURN)
                wait_for(have_begun(turn * STARTS_IN_A_TURN + 1))
                instances.kill(turn % 2)
                engine.signal(run, f"go{turn}")
                wait_for(have_begun((turn + 1) * STARTS_IN_A_TURN))
        history = [event.version for event in engine.history(run.id)]
        assert seen == [history, history]
        assert len(set(begun)) == TURNS * STARTS_IN_A_TURN
        assert {engine.state(each).workflow for each in begun} == {"waiting"}
        chosen = RunFilter(workflow=("waiting",))
        wait_for(lambda: engine.views.count(chosen) == len(begun))


def test_a_connection_is_kept_for_longer_than_clients_keep_theirs() -> None:
    assert (Limits().keepalive_expiry or 0) < IDLE_SECONDS
