"""A run of any size is written to a file payload by payload, and nobody ever finds half of one."""

from __future__ import annotations

import os
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from eventstore.private_files import replacing
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.archive import Departure
from openagents_json.engine.archive.capsules import export, pack, unpack
from tests.acceptance.processes import COMMAND, ROOT, openagents, openagents_bytes
from tests.conftest import Server, SharedServers
from tests.fork_server import ForkedProcess
from tests.integration.faults.proxy import StirringProxy

pytestmark = pytest.mark.one_worker

MIB = 1024**2
COUNT = 12
T = TypeVar("T")


@tool("large")
def large(n: int) -> str:
    return os.urandom(MIB // 2 - 8).hex()


DOCUMENT: dict[str, Any] = {
    "id": "large",
    "steps": [
        {
            "id": "each",
            "foreach": list(range(COUNT)),
            "component": "large",
            "inputs": {"n": "{{item}}"},
        }
    ],
    "output": 1,
}


class Large(NamedTuple):
    """A store with a run that has many payloads of about a MiB each, which do not shrink much, and a way to it."""

    engine: Engine
    run: str
    proxy: StirringProxy
    where: tuple[str, ...]

    def asked_for(self, sha: str) -> bytes:
        """Return how a payload is asked for."""
        keys = self.engine.core.store.keys
        key = keys.blob(keys.partition_of(self.run), sha)
        return b"GET\r\n$%d\r\n%s\r\n" % (len(key), key)


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    """One kind of server: what is asked of either is shown where its scripts are."""
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def store(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    prefix = server.prefix()
    proxy = StirringProxy(
        server.directory / "s.sock", tmp_path_factory.mktemp("p") / "p.sock"
    )
    with Engine.connect(
        server.url, prefix=prefix, components=[large], workers=1, partitions=1
    ) as engine:
        run = engine.run(DOCUMENT, timeout=60).id
        yield Large(engine, run, proxy, ("--url", proxy.url, "--prefix", prefix))
    proxy.close()


def peak(work: Callable[[], T]) -> tuple[T, float]:
    """Return what comes of it, and how many MiB were held beyond what was before, at most."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def written(store: Large, path: Path) -> None:
    with replacing(path) as file:
        export(store.engine.core, store.run, file, actor="me")


def test_no_more_than_a_few_payloads_are_held_for_an_export(
    store: Large, tmp_path: Path
) -> None:
    written(
        store, tmp_path / "first.oac"
    )  # what is imported for it is not held for the file
    _, held = peak(lambda: written(store, tmp_path / "run.oac"))
    assert held < COUNT / 3
    assert (tmp_path / "run.oac").stat().st_size > COUNT * MIB / 2
    assert len(unpack(tmp_path / "run.oac").blobs) == COUNT


def test_what_goes_into_a_pipe_is_the_same_capsule(
    store: Large, tmp_path: Path
) -> None:
    whole = pack(store.engine.core, store.run, actor="me")
    os.mkfifo(tmp_path / "pipe")
    with (
        (tmp_path / "read").open("wb") as out,
        subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=out),
    ):
        written(store, tmp_path / "pipe")
    for raw in (
        (tmp_path / "read").read_bytes(),
        openagents_bytes("runs", "export", store.run, "-o", "-", *store.where).stdout,
    ):
        assert (unpack(raw).events, dict(unpack(raw).blobs)) == (
            unpack(whole).events,
            dict(unpack(whole).blobs),
        )


def test_an_archived_run_comes_back_payload_by_payload(
    store: Large, tmp_path: Path
) -> None:
    engine = store.engine
    run = engine.run(DOCUMENT, timeout=60).id
    history = engine.history(run)
    for work in (
        lambda: 0,
        lambda: peak(lambda: engine.archive.restore(run))[1],
    ):  # the first time, more is imported
        gone = engine.archive.leave(run, Departure(str(tmp_path)))
        assert Path(gone.url).stat().st_size == gone.archived > COUNT * MIB / 2
        held = work() or engine.archive.restore(run)
    assert float(held) < COUNT / 2
    assert [event.data for event in engine.history(run)] == [
        event.data for event in history
    ]


@pytest.mark.parametrize("how", ["killed", "failed"])
def test_an_export_that_ends_halfway_leaves_nothing(
    store: Large, tmp_path: Path, how: str
) -> None:
    (tmp_path / "old.oac").write_bytes(b"old")
    command = (
        "runs",
        "export",
        store.run,
        "-o",
        str(tmp_path / "old.oac"),
        "--force",
        *store.where,
    )
    store.proxy.word = store.asked_for(
        max(unpack(pack(store.engine.core, store.run, actor="me")).blobs)
    )
    with ForkedProcess(
        [*COMMAND, *command], cwd=ROOT, stderr=subprocess.PIPE
    ) as process:
        store.proxy.deed = process.kill if how == "killed" else process.terminate
        process.communicate()
    assert store.proxy.word == b""
    assert process.returncode
    assert os.listdir(tmp_path) == ["old.oac"]
    assert (tmp_path / "old.oac").read_bytes() == b"old"


def test_a_payload_that_is_erased_while_the_run_is_written_is_named_as_missing(
    store: Large, tmp_path: Path
) -> None:
    core = store.engine.core
    sha = max(unpack(pack(core, store.run, actor="me")).blobs)
    key = core.store.keys.blob(0, sha)
    saved = core.connection.command(b"DUMP", key)
    store.proxy.word, store.proxy.deed = (
        store.asked_for(sha),
        lambda: core.connection.command(b"DEL", key),
    )
    try:
        done = openagents(
            "runs", "export", store.run, "-o", str(tmp_path / "run.oac"), *store.where
        )
    finally:
        core.connection.command(b"RESTORE", key, 0, saved)
    assert (done.returncode, done.stderr) == (0, "")
    capsule = unpack(tmp_path / "run.oac")
    assert (capsule.manifest["missing"], len(capsule.blobs)) == ([sha], COUNT - 1)
