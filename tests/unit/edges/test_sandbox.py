"""The sandbox: components run, and nothing that they do leaves it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from openagents_json.engine.settings import sandbox_environment
from openagents_json.simulation.sandbox import Sandbox, SandboxCall, SandboxReply
from openagents_json.simulation.sandbox_bounds import (
    MEANS,
    Bounds,
    SandboxPolicy,
    confine,
)
from openagents_json.simulation.sandbox_secrets import Secrets, secret_files
from tests.acceptance.processes import COMPONENTS

pytestmark = pytest.mark.one_worker
TEMPTATIONS = str(COMPONENTS.with_name("temptations.py"))
Call = Callable[..., SandboxReply]


def opened(folder: Path, **more: Any) -> Sandbox:
    return Sandbox([TEMPTATIONS], sandbox_environment(dict(os.environ)), folder, **more)


def caller(sandbox: Sandbox) -> Call:
    def call(component: str, limit_ms: int = 20_000, **inputs: Any) -> SandboxReply:
        return sandbox.call(
            SandboxCall(
                component,
                inputs,
                "0-run",
                "step",
                "w",
                2,
                1_000,
                limit_ms,
                "0-run/step",
            )
        )

    return call


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    with Sandbox(
        [TEMPTATIONS], sandbox_environment(dict(os.environ)), Path.cwd()
    ) as sandbox:
        yield caller(sandbox)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_components_run_in_one_process_and_may_print_and_use_its_folder(
    call: Call,
) -> None:
    results = [
        call("fine", x={"n": number, "text": "line\nline ä"}) for number in range(2)
    ]
    assert [(answer.refused, answer.error) for answer in results] == [("", None)] * 2
    assert results[0].output == {
        **results[1].output,
        "x": {"n": 0, "text": "line\nline ä"},
    }
    assert (results[0].output["key"], results[0].output["attempt"]) == ("0-run/step", 2)
    assert results[0].output["pid"] != os.getpid()
    assert call("awaits", x=1).output == 2


def test_the_network_is_refused_even_where_a_component_hides_it(
    call: Call, listening: socket.socket
) -> None:
    port = listening.getsockname()[1]
    for component in ("connects", "hides"):
        answer = call(component, port=port)
        assert answer.refused.startswith("the sandbox does not allow socket."), answer
    with pytest.raises(TimeoutError):
        listening.accept()
    assert call("awaits", x=1) == SandboxReply(2)


def test_code_in_c_can_do_what_is_said_before_and_nothing_else(
    tmp_path: Path, listening: socket.socket
) -> None:
    (tmp_path / "kept").write_text("as it was")
    (tmp_path / "kept").chmod(0o600)
    (tmp_path / ".env").write_text("PASSWORD=secret")
    with opened(tmp_path) as sandbox:
        leaves = set(sandbox.bounds().leaves)
        worked = caller(sandbox)("works_in_c", folder=str(tmp_path)).output
        reached = (
            caller(sandbox)("connects_in_c", port=listening.getsockname()[1]).output
            == 0
        )
    assert worked.pop("its own files")
    assert worked.pop("removing files") == worked["changing files"]
    assert {name for name, done in worked.items() if done} == leaves & set(worked)
    assert reached == ("the network" in leaves)


def test_what_the_kernel_of_this_machine_has_is_used(tmp_path: Path) -> None:
    def lets(what: str) -> bool:
        tried = (["unshare", *user, what, "true"] for user in ([], ["--user"]))
        return any(
            subprocess.run(command, capture_output=True).returncode == 0
            for command in tried
        )

    landlock = ctypes.CDLL(None).syscall(
        444, None, ctypes.c_size_t(0), 1
    )  # landlock_create_ruleset: its version
    libseccomp = ctypes.util.find_library("seccomp") is not None
    with opened(tmp_path) as sandbox:
        bounds = sandbox.bounds()
    has = zip(
        MEANS, (lets("--net"), lets("--mount"), landlock >= 3, libseccomp), strict=True
    )
    assert bounds.used == tuple(name for name, there in has if there)


@pytest.mark.parametrize("how", ["subprocess", "system", "fork", "spawn"])
def test_no_process_is_started(call: Call, tmp_path: Path, how: str) -> None:
    answer = call("starts", how=how, path=str(tmp_path / "new"))
    assert answer.refused.startswith("the sandbox does not allow"), answer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "how", ["open", "low", "remove", "tree", "rename", "link", "sqlite", "relative"]
)
def test_files_outside_of_its_folder_are_left_alone(
    call: Call, tmp_path: Path, how: str
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    target = kept if how in ("remove", "tree", "rename", "open") else tmp_path / "new"
    answer = call("writes", how=how, path=str(target))
    assert answer.refused.startswith("the sandbox does not allow"), answer
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "as it was"


def test_of_the_environment_components_see_what_is_known_to_be_harmless_and_what_is_given() -> (
    None
):
    names = [
        "OPENAGENTS_URL",
        "OPENAGENTS_SECRET_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_PAT",
        "MODEL",
        "LANG",
        "LC_ALL",
    ]
    given = {**os.environ, **dict.fromkeys(names, "x")}
    with Sandbox(
        [TEMPTATIONS], sandbox_environment(given, ["MODEL"]), Path.cwd()
    ) as sandbox:
        seen = caller(sandbox)("looks", names=names).output
    assert {name for name, value in seen.items() if value} == {
        "MODEL",
        "LANG",
        "LC_ALL",
    }


def test_it_begins_in_the_folder_of_the_program_and_reads_what_is_there(
    tmp_path: Path,
) -> None:
    (tmp_path / "prices.csv").write_text("a,1")
    (tmp_path / "beside.py").write_text("PRICE = 3")
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nimport beside\nfrom openagents_json import tool\n"
        "@tool('mine')\ndef mine() -> list[object]:\n    return [Path('prices.csv').read_text(), beside.PRICE]\n"
    )
    with closing(sqlite3.connect(tmp_path / "stock.db")) as database:
        database.execute("create table t (x)")
    before = sorted(tmp_path.iterdir())
    with Sandbox(
        ["mine.py", TEMPTATIONS], sandbox_environment(dict(os.environ)), tmp_path
    ) as sandbox:
        call = caller(sandbox)
        assert call("goes", path="/") == SandboxReply()
        assert call("mine") == SandboxReply(["a,1", 3])
        assert call("counts", path="stock.db") == SandboxReply(0)
        assert call("writes", how="relative", path="").refused.startswith(
            "the sandbox does not allow"
        )
    assert sorted(tmp_path.iterdir()) == before


def test_secrets_are_not_read_and_it_is_told_even_where_a_component_hides_it(
    tmp_path: Path,
) -> None:
    data = tmp_path / ".openagents"
    data.mkdir()
    for name in (
        ".env",
        ".env.local",
        "tls.pem",
        "audit.key",
        ".openagents/appendonly",
        "signing",
    ):
        (tmp_path / name).write_text("secret")
    (tmp_path / "open.txt").write_text("open")
    with opened(
        tmp_path, secrets=[Path(".openagents"), tmp_path / "signing"]
    ) as sandbox:
        call = caller(sandbox)
        for name in (
            ".env",
            ".env.local",
            "tls.pem",
            "audit.key",
            ".openagents/appendonly",
            str(tmp_path / "signing"),
        ):
            for answer in (call("reads", path=name), call("hides_secrets", path=name)):
                assert (
                    answer.refused
                    == f"the sandbox does not allow reading {name!r}, where secrets are"
                )
        assert (
            "where secrets are"
            in call("reads", path=str(tmp_path / ".env"), link=True).refused
        )
        assert (
            "where secrets are"
            in call("reads", path=f"/proc/{os.getpid()}/environ").refused
        )
        assert call("reads", path="/proc/self/environ").refused == ""
        assert call("reads", path="open.txt", link=False) == SandboxReply("open")


def test_certificates_of_others_are_no_secrets() -> None:
    installed = Path(sys.prefix) / "lib" / "certifi"
    for path in (
        installed / "cacert.pem",
        "/usr/lib/ssl/cert.pem",
        "/x/site-packages/certifi/cacert.pem",
    ):
        assert not Secrets().hold(str(path))
    assert Secrets().hold("/x/cacert.pem")


def test_where_there_are_too_many_files_to_look_at_it_is_said_that_secrets_can_be_read(
    tmp_path: Path,
) -> None:
    for name in ("a", "b", ".env"):
        (tmp_path / name).touch()
    files, complete = secret_files(
        tmp_path, [str(tmp_path / "a"), str(tmp_path / "gone")]
    )
    assert (files, complete) == ([tmp_path / "a", tmp_path / ".env"], True)
    assert not secret_files(tmp_path, (), most=2)[1]
    assert confine(Has(), SandboxPolicy(tmp_path, complete=False)).leaves == (
        "reading secrets",
    )


@dataclass
class Has:
    """A kernel that has what it is told to have, and remembers the order in which it was asked."""

    network: bool = True
    mounts: bool = True
    landlock: bool = True
    seccomp: bool = True
    asked: list[str] = field(default_factory=list)

    def _had(self, what: str, there: bool) -> bool:
        self.asked.append(what)
        return there

    def leave_network(self) -> bool:
        return self._had("network", self.network)

    def hide(self, paths: Sequence[Path]) -> bool:
        return self._had("hide", self.mounts)

    def freeze(self, writable: Path) -> bool:
        return self._had("freeze", self.mounts)

    def limit_files(self, writable: Path) -> bool:
        return self._had("files", self.landlock)

    def limit_calls(self) -> bool:
        return self._had("calls", self.seccomp)


@pytest.mark.parametrize(
    ("kernel", "leaves"),
    [
        (Has(), ()),
        (Has(network=False, landlock=False), ()),
        (
            Has(seccomp=False),
            ("connecting to servers by socket files", "copies of the process"),
        ),
        (
            Has(network=False, mounts=False),
            ("changing modes and times of files", "reading secrets"),
        ),
        (
            Has(network=False, mounts=False, landlock=False),
            ("changing files", "reading secrets"),
        ),
        (
            Has(False, False, False, False),
            (
                "the network",
                "other programs and processes",
                "changing files",
                "reading secrets",
            ),
        ),
    ],
)
def test_what_a_kernel_lacks_is_said(kernel: Has, leaves: tuple[str, ...]) -> None:
    bounds = confine(kernel, SandboxPolicy(Path("/nowhere")))
    assert bounds.leaves == leaves
    assert kernel.asked == [
        "network",
        "hide",
        "freeze",
        "files",
        "calls",
    ]  # each forbids what comes before it
    assert all(text in bounds.text() for text in leaves)
    assert bounds.and_(Bounds(MEANS)) == bounds
    assert bounds.and_(Bounds((), ("x",))) == Bounds((), (*leaves, "x"))


def test_it_survives_components_that_end_or_hang_their_process(call: Call) -> None:
    for code in (0, 7):
        assert (
            call("leaves", code=code).refused
            == f"it ended its process (exit code {code})"
        )
        assert call("awaits", x=code).output == code + 1
    assert call("hangs", 300) == SandboxReply(late=True)
    assert call("awaits", x=1).output == 2
    assert (call("exits").error or {})["type"] == "SystemExit"
    assert call("eats").refused == "the sandbox does not allow so much memory"
    assert call("awaits", x=1).output == 2


LESS = """
import sys
from pathlib import Path
from openagents_json.simulation import sandbox_child
from tests.unit.edges.test_sandbox import Has
before = Path(sys.argv[1])
kernel = Has() if not before.exists() else Has(seccomp=False)
before.touch()
sandbox_child.main(kernel)
"""


def test_a_sandbox_that_begins_again_in_wider_bounds_runs_nothing(
    tmp_path: Path,
) -> None:
    program = [sys.executable, "-c", LESS, str(tmp_path / "before")]
    with opened(tmp_path, program=program) as sandbox:
        call = caller(sandbox)
        assert sandbox.bounds() == Bounds(MEANS)
        assert call("leaves", code=3).refused == "it ended its process (exit code 3)"
        assert call("awaits", x=1).refused.startswith(
            "the sandbox had to begin again, and does not keep components from"
        )


def test_errors_come_back_and_what_is_not_safe_to_repeat_is_not_run(call: Call) -> None:
    assert call("fails", text="no").error == {
        "type": "ValueError",
        "message": "no",
        "retryable": True,
    }
    assert (call("fails").error or {})["type"] == "InvalidComponentInput"
    assert (call("odd").error or {})["type"] == "InvalidComponentOutput"
    assert (
        call("sends_once").refused
        == "the sandbox does not allow a component whose effect is at_most_once"
    )
    assert (
        call("zzzzzz").refused
        == "there is no component 'zzzzzz'; give its module with --components"
    )


def test_components_that_cannot_be_loaded_are_refused_with_the_reason(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('not today')\n")
    (tmp_path / "tempted.py").write_text(
        "import socket\nsocket.create_connection(('127.0.0.1', 9))\n"
    )
    (tmp_path / "gone.py").write_text("import os\nos._exit(4)\n")
    reasons = []
    for name in ("broken.py", "tempted.py", "gone.py"):
        with Sandbox(
            [name], sandbox_environment(dict(os.environ)), tmp_path
        ) as sandbox:
            reasons.append(caller(sandbox)("any").refused)
    assert "ValueError: not today" in reasons[0]
    assert "cannot be loaded: socket." in reasons[1]
    assert "end the process when they are loaded" in reasons[2]
