"""What lies on the disk is its owner's alone, and nothing is read or locked that somebody else could have put there."""

from __future__ import annotations

import fcntl
import io
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.root import cli
from eventstore.errors import NoStore, ServerNotStarted
from eventstore.redis.embedded.server import EmbeddedServer
from openagents_json import tool
from openagents_json.engine import Engine
from openagents_json.engine.archive.files import read, write


def modes(folder: Path) -> dict[str, int]:
    """Return what others than the owner may do with all that lies in a directory, and with itself."""
    paths = [folder, *folder.rglob("*")]
    return {
        path.name: path.lstat().st_mode & 0o077
        for path in paths
        if not stat.S_ISLNK(path.lstat().st_mode)
    }


def open_to_all(mode: int) -> bool:
    return bool(mode & 0o077)


@contextmanager
def careless() -> Iterator[None]:
    """Work as a user whose new files are everybody's."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def foreign(path: Path) -> Path:
    """Return a directory of somebody else: only root can make one, and for all others there are those of root."""
    if os.geteuid():
        return Path("/usr")
    path.mkdir()
    os.chown(path, 65534, 65534)
    return path


@pytest.mark.parametrize("unix_socket", [True, False])
def test_all_that_a_server_makes_is_its_owners_alone(
    tmp_path: Path, unix_socket: bool
) -> None:
    with careless():
        server = EmbeddedServer.open(
            tmp_path / "a" / "data", durability="always", unix_socket=unix_socket
        )
        try:
            by_path = modes(tmp_path / "a")
        finally:
            server.close()
    assert {
        "appendonlydir",
        "users.lock",
        "start.lock",
        "server.json",
        "server.lock",
        "supervisor.lock",
        "server.conf",
        "server.log",
    } <= set(by_path)
    assert not any(by_path.values()), by_path


def test_a_directory_that_an_earlier_release_made_is_tightened_and_goes_on(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    EmbeddedServer.open(data, durability="always").close()
    for path in (data, *data.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    server = EmbeddedServer.open(data, durability="always")
    by_path = modes(data)
    server.close()
    assert not any(by_path.values()), by_path


def test_an_empty_directory_that_others_may_read_is_closed_to_them(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o775)
    EmbeddedServer.open(data).close()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_a_directory_that_holds_other_stores_is_tightened(tmp_path: Path) -> None:
    EmbeddedServer.open(tmp_path / "data" / "demo").close()
    (tmp_path / "data").chmod(0o755)
    EmbeddedServer.open(tmp_path / "data").close()
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_directory_that_is_used_for_something_else_is_not_closed_to_its_users(
    tmp_path: Path,
) -> None:
    data = tmp_path / "srv"
    data.mkdir()
    (data / "site.html").write_text("")
    data.chmod(0o755)
    with pytest.raises(
        ServerNotStarted, match=r"as site\.html; choose a directory of its own"
    ):
        EmbeddedServer.open(data)
    with pytest.raises(NoStore):
        EmbeddedServer.open(data, create=False)
    assert (stat.S_IMODE(data.stat().st_mode), os.listdir(data)) == (
        0o755,
        ["site.html"],
    )


def test_a_directory_for_everybody_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "tmp"
    data.mkdir()
    data.chmod(0o1777)
    with pytest.raises(
        ServerNotStarted, match="shared by many users; choose a directory below it"
    ):
        EmbeddedServer.open(data)
    assert stat.S_IMODE(data.stat().st_mode) == 0o1777


@pytest.mark.parametrize("create", [True, False])
def test_a_directory_of_somebody_else_is_refused_and_left_as_it_is(
    tmp_path: Path, create: bool
) -> None:
    data = foreign(tmp_path / "theirs")
    before = stat.S_IMODE(data.stat().st_mode), sorted(os.listdir(data))
    with pytest.raises(
        ServerNotStarted,
        match=r"belongs to user .*; run this as that user.* or choose a directory",
    ):
        EmbeddedServer.open(data, create=create)
    assert (stat.S_IMODE(data.stat().st_mode), sorted(os.listdir(data))) == before


@pytest.mark.parametrize("create", [True, False])
def test_a_directory_that_is_a_link_is_refused_and_says_where_it_leads(
    tmp_path: Path, create: bool
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "real")
    with pytest.raises(
        ServerNotStarted, match=r"symbolic link; name what it leads to \(.*/real\)"
    ):
        EmbeddedServer.open(tmp_path / "data", create=create)
    assert os.listdir(tmp_path / "real") == []


NAMES = (
    *(
        "users.lock",
        "start.lock",
        "server.json",
        "server.json.new",
        "server.log",
        "server.lock",
        "supervisor.lock",
        "server.conf",
        "server.conf.new",
        "server.sock",
    ),
    *("appendonlydir", "appendonlydir/appendonly.aof.manifest"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_link_in_the_place_of_a_file_is_refused_and_not_followed(
    tmp_path: Path, name: str
) -> None:
    data, precious = tmp_path / "data", tmp_path / "precious"
    precious.mkdir()
    precious.chmod(0o755)
    (precious / "kept").write_text("kept")
    (precious / "kept").chmod(0o644)
    (data / name).parent.mkdir(parents=True)
    data.chmod(0o755)
    (data / name).symlink_to(precious if name == "appendonlydir" else precious / "kept")
    with pytest.raises(ServerNotStarted, match=f"{name} is a symbolic link"):
        EmbeddedServer.open(data)
    assert (
        (precious / "kept").read_text(),
        stat.S_IMODE((precious / "kept").stat().st_mode),
    ) == ("kept", 0o644)
    assert stat.S_IMODE(precious.stat().st_mode) == 0o755


def test_a_pipe_in_the_place_of_a_lock_is_refused_and_not_waited_for(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.mkfifo(data / "users.lock")
    with pytest.raises(ServerNotStarted, match=r"users\.lock is no ordinary file"):
        EmbeddedServer.open(data)


@pytest.mark.parametrize("name", ["users.lock", "start.lock"])
def test_a_lock_that_a_stranger_holds_does_not_hang_a_command(
    tmp_path: Path, name: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with (data / name).open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(
            ServerNotStarted, match=rf"holds the lock .*{name}.*end it, and try again"
        ):
            EmbeddedServer.open(data, lock_seconds=0.1)
    EmbeddedServer.open(data).close()


def test_a_lock_that_one_of_us_holds_is_waited_for_however_long_its_work_takes(
    tmp_path: Path,
) -> None:
    servers: list[EmbeddedServer] = []

    def begin() -> (
        None
    ):  # to start a server takes longer than a stranger is waited for here
        servers.append(EmbeddedServer.open(tmp_path, lock_seconds=0.1))

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(servers) == 4
    for server in servers:
        server.close()


@tool("greet", version="1.0.0")
def greet(name: str) -> str:
    return f"Dear {name}"


DOCUMENT = {
    "id": "w",
    "steps": [{"id": "a", "component": "greet", "inputs": {"name": "Ada"}}],
}


def test_exports_receipts_and_capsules_are_their_owners_alone(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    command = CliRunner()
    key = tmp_path / "key"
    assert command.invoke(cli, ["audit", "keygen", "-o", str(key)]).exit_code == 0
    with Engine.embedded(data, components=[greet], audit_key=key) as engine:
        run = engine.run(DOCUMENT, timeout=60).id
        engine.audit.seal()
        victim = tmp_path / "victim"
        victim.write_text("kept")
        for line in (
            ["audit", "receipt", run, "1"],
            ["audit", "export"],
            ["runs", "export", run],
        ):
            path = tmp_path / f"{line[1]}-of-{line[0]}"
            (tmp_path / f"{path.name}.part").symlink_to(victim)
            with careless():
                done = command.invoke(
                    cli, [*line, "-o", str(path), "--data", data], standalone_mode=False
                )
            assert (done.exit_code, open_to_all(path.stat().st_mode)) == (0, False), (
                line,
                done.output,
            )
        assert victim.read_text() == "kept"


def test_a_report_goes_into_a_pipe_as_it_is(tmp_path: Path) -> None:
    pipe, data = tmp_path / "pipe", str(tmp_path / "data")
    os.mkfifo(pipe)
    heard: list[bytes] = []
    listener = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    listener.start()
    with Engine.embedded(data, components=[greet]) as engine:
        run = engine.run(DOCUMENT, timeout=60).id
        done = CliRunner().invoke(
            cli, ["runs", "export", run, "-o", str(pipe), "--force", "--data", data]
        )
    listener.join()
    assert (done.exit_code, heard[0][:2], pipe.is_fifo()) == (0, b"PK", True)


def test_an_archive_on_this_machine_is_its_owners_alone(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}/one/run.oac", f"{tmp_path}/two/run.oac"):
        with careless():
            write(url, io.BytesIO(b"what it worked with"))
        read(url, out := io.BytesIO())
        assert out.getvalue() == b"what it worked with"
    assert not any(
        mode for name, mode in modes(tmp_path).items() if name != tmp_path.name
    )
