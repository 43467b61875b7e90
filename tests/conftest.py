"""Servers for tests: the embedded Valkey always, Debian's Redis when it is there; in CI it has to be there."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from eventstore.errors import EventStoreError
from eventstore.redis.driver.connection import Connection, connect
from eventstore.redis.embedded.server_program import find_program
from tests.examples import TIMES
from tests.fork_server import end_fork_server
from tests.stores import broken, remove, stores

TESTS = Path(__file__).parent
REDIS = shutil.which("redis-server")
KINDS = ["valkey", "redis"] if REDIS else ["valkey"]
ITEMS_BY_PATH = pytest.StashKey[dict[Path, list[pytest.Item]]]()
_numbers = itertools.count(1)

# How long an example takes says what else the machine does, and nothing of the code.
settings.register_profile(
    "untimed",
    deadline=None,
    derandomize=TIMES == 1,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("untimed")


@dataclass
class Server:
    """A server of its own on a unix socket, which can be killed and started again on the same data."""

    kind: str
    directory: Path
    appendfsync: str = "everysec"
    options: tuple[str, ...] = ("--appendonly", "yes")
    process: subprocess.Popen[bytes] | None = None
    connections: list[Connection] = field(default_factory=list)
    _look: Connection | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.directory}/s.sock"

    def start(self) -> None:
        binary = str(find_program()) if self.kind == "valkey" else str(REDIS)
        command = [
            binary,
            "--port",
            "0",
            "--unixsocket",
            f"{self.directory}/s.sock",
            "--dir",
            str(self.directory),
        ]
        command += [
            "--save",
            "",
            "--stream-node-max-bytes",
            "1024",
            "--logfile",
            f"{self.directory}/log",
            "--appendfsync",
            self.appendfsync,
            *self.options,
        ]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(self._answers)

    def _answers(self) -> bool:
        try:
            connect(self.url).close()
        except EventStoreError:
            return False
        return True

    def connect(self) -> Connection:
        self.connections.append(connect(self.url))
        return self.connections[-1]

    @property
    def look(self) -> Connection:
        """Return the connection by which the suite looks at what tests leave behind."""
        if self._look is None:
            self._look = self.connect()
        return self._look

    def prefix(self) -> str:
        return f"t{next(_numbers)}"

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        for connection in self.connections:
            connection.client.connection_pool.disconnect()  # closing a client leaves its pool as it is
            connection.close()
        self.kill()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so; a test that waits in vain fails here, so the bound may be generous."""
    pause, ends = threading.Event(), time.monotonic() + seconds
    while (began := time.monotonic()) < ends:
        if condition():
            return
        # Looking takes no more than half of the time, which is left to what is waited for.
        pause.wait(max(0.02, time.monotonic() - began))
    raise AssertionError(f"not so after {seconds} s: {condition}")


@contextmanager
def serving(kind: str, appendfsync: str = "everysec") -> Iterator[Server]:
    """A server that ends, with its data, when the block ends.

    One that is killed is to write `always`: at `everysec` it answers before it writes while its disk is behind.
    """
    directory = Path(tempfile.mkdtemp(prefix="oa-"))
    server = Server(kind, directory, appendfsync)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


class SharedServers:
    """One server of each kind for all tests of a process, started when the first test asks for it."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        self._started: dict[str, Server] = {}

    def started(self) -> list[Server]:
        return list(self._started.values())

    def of(self, kind: str) -> Server:
        if kind not in self._started:
            self._started[kind] = self._ends.enter_context(serving(kind))
        return self._started[kind]


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[SharedServers]:
    """The servers of this process: with pytest-xdist each worker has its own, so prefixes never meet."""
    with ExitStack() as ends:
        yield SharedServers(ends)


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest, shared_servers: SharedServers) -> Server:
    """A server that all tests share, each under its own prefix."""
    return shared_servers.of(request.param)


@pytest.fixture(params=KINDS)
def private_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that one test may kill: it loses nothing that it has acknowledged."""
    with serving(request.param, "always") as started:
        yield started


@pytest.fixture(autouse=True, scope="session")
def fork_server() -> Iterator[None]:
    """End the process that programs of tests are forked from, if one was asked for."""
    yield
    end_fork_server()


@pytest.fixture(autouse=True, scope="module")
def stores_of_a_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ask the doctor of each store that the fixtures of a module leave behind; see `stores_of_a_test`."""
    shared = (
        request.getfixturevalue("shared_servers")
        if _uses_servers(request.node)
        else None
    )
    before = (
        {server.directory: stores(server.look) for server in shared.started()}
        if shared
        else {}
    )
    yield
    for server in shared.started() if shared else ():
        damages = any(_damages(item) for item in _items_of(request.node))
        _in_order(server, before.get(server.directory, frozenset()), damages=damages)


@pytest.fixture(autouse=True)
def stores_of_a_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ask the doctor of each store that a test leaves behind on its server: it has to be in order, then it goes.

    Tests that break one on purpose say so: @pytest.mark.damages_store("why").
    """
    used = [
        name for name in ("server", "private_server") if name in request.fixturenames
    ]
    servers: list[Server] = [request.getfixturevalue(name) for name in used]
    before = [stores(server.look) for server in servers]
    yield
    for server, earlier in zip(servers, before, strict=True):
        _in_order(server, earlier, damages=_damages(request.node))


def _in_order(server: Server, before: frozenset[str], *, damages: bool) -> None:
    if server.process is None or server.process.poll() is not None:
        return
    left = stores(server.look) - before
    damages_by_store = {} if damages else broken(server.look, left)
    remove(server.look, left)
    if damages_by_store:
        lines = [
            f"store {prefix}: {violation}"
            for prefix, items in damages_by_store.items()
            for violation in items
        ]
        pytest.fail(
            "\n".join(["the test leaves a store that is not in order:", *lines]),
            pytrace=False,
        )


def _uses_servers(module: pytest.Item | pytest.Collector) -> bool:
    return any(
        "server" in getattr(item, "fixturenames", ()) for item in _items_of(module)
    )


def _items_of(module: pytest.Item | pytest.Collector) -> list[pytest.Item]:
    """Return the tests of a module; all are sorted once, as there are thousands and each module asks."""
    stash = module.session.stash
    if ITEMS_BY_PATH not in stash:
        items_by_path: dict[Path, list[pytest.Item]] = {}
        for item in module.session.items:
            items_by_path.setdefault(item.path, []).append(item)
        stash[ITEMS_BY_PATH] = items_by_path
    return stash[ITEMS_BY_PATH].get(module.path, [])


def _damages(item: pytest.Item) -> bool:
    mark = item.get_closest_marker("damages_store")
    if mark is not None and not (
        mark.args and isinstance(mark.args[0], str) and mark.args[0]
    ):
        raise pytest.UsageError(
            f"{item.nodeid}: damages_store wants a reason: why does the test break a store?"
        )
    return mark is not None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage while modules and tests are gathered, nor among them later: they stay to the end.

    Half of the time of collection went into it, in each worker anew.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Begin with what takes longest, so that no worker is left alone with it at the end."""
    for item in items:
        if item.get_closest_marker("one_worker"):
            kind = (
                item.callspec.params.get("server", "")
                if hasattr(item, "callspec")
                else ""
            )
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{kind}"))
    yield
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    if item.get_closest_marker("slow"):
        return 0
    kind = item.path.relative_to(TESTS).parts[0]
    return {"acceptance": 1, "integration": 2}.get(kind, 3)


@pytest.fixture(autouse=True)
def log_records_as_before() -> Iterator[None]:
    """Take back what a command that ran in this process set for its own, in fixtures of modules too: how logs speak."""
    root = logging.getLogger()
    logging.setLogRecordFactory(logging.LogRecord)
    yield
    logging.setLogRecordFactory(logging.LogRecord)
    for handler in list(root.handlers):
        if type(handler).__module__.startswith("cli."):
            root.removeHandler(handler)


def pytest_collection_finish() -> None:
    """Write no bytecode from here on: a file of components that a test writes twice in a second has one date."""
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_configure() -> None:
    """Return the processes that tests begin the signals of a terminal: in the background a shell has them ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_sessionstart(session: pytest.Session) -> None:
    if REDIS is None and os.environ.get("CI") == "true":
        raise pytest.UsageError(
            "redis-server is missing: in CI, half of the tests would not run; install it"
        )


def pytest_report_header() -> str:
    return (
        "servers: "
        + ", ".join(KINDS)
        + ("" if REDIS else " (redis-server is not installed: that half does not run)")
    )
