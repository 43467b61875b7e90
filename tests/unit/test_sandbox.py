"""The sandbox: components run, and nothing that they do leaves it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.components.sandbox import Answer, Sandbox, SandboxCall
from openagents_json.engine.settings import sandbox_environment
from tests.acceptance.processes import COMPONENTS, ROOT

pytestmark = pytest.mark.one_worker
TEMPTATIONS = str(COMPONENTS.with_name("temptations.py"))
Call = Callable[..., Answer]


def caller(sandbox: Sandbox) -> Call:
    def call(component: str, limit_ms: int = 20_000, **inputs: Any) -> Answer:
        return sandbox.call(SandboxCall(component, inputs, "0-run", "step", "w", 2, 1_000, limit_ms, "0-run/step"))

    return call


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    with Sandbox([TEMPTATIONS], sandbox_environment(dict(os.environ)), Path.cwd()) as sandbox:
        yield caller(sandbox)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


def test_components_run_in_one_process_and_may_print_and_use_its_folder(call: Call) -> None:
    found = [call("fine", x={"n": number, "text": "line\nline ä"}) for number in range(2)]
    assert [(answer.refused, answer.error) for answer in found] == [("", None)] * 2
    assert found[0].output == {**found[1].output, "x": {"n": 0, "text": "line\nline ä"}}
    assert (found[0].output["key"], found[0].output["attempt"]) == ("0-run/step", 2)
    assert found[0].output["pid"] != os.getpid()
    assert call("awaits", x=1).output == 2


def test_the_network_is_refused_even_where_a_component_hides_it(call: Call, listening: socket.socket) -> None:
    port = listening.getsockname()[1]
    for component in ("connects", "hides"):
        answer = call(component, port=port)
        assert answer.refused.startswith("the sandbox does not allow socket."), answer
    with pytest.raises(TimeoutError):
        listening.accept()
    assert call("awaits", x=1) == Answer(2)


def test_code_in_c_has_no_network_where_the_system_lets_it_be_given_up(call: Call, listening: socket.socket) -> None:
    code = "from openagents_json.components.sandbox_guard import give_up_the_network as it; print(it())"
    given_up = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    answer = call("connects_in_c", port=listening.getsockname()[1])
    assert answer.output == {"True\n": -1, "False\n": 0}[given_up], answer


@pytest.mark.parametrize("how", ["subprocess", "system", "fork", "spawn"])
def test_no_process_is_started(call: Call, tmp_path: Path, how: str) -> None:
    answer = call("starts", how=how, path=str(tmp_path / "new"))
    assert answer.refused.startswith("the sandbox does not allow"), answer
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["open", "low", "remove", "tree", "rename", "link", "sqlite"])
def test_files_outside_of_its_folder_are_left_alone(call: Call, tmp_path: Path, how: str) -> None:
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    target = kept if how in ("remove", "tree", "rename", "open") else tmp_path / "new"
    answer = call("writes", how=how, path=str(target))
    assert answer.refused.startswith("the sandbox does not allow"), answer
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert kept.read_text() == "as it was"


def test_secrets_and_settings_stay_outside() -> None:
    names = ["OPENAGENTS_URL", "OPENAGENTS_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "LANG"]
    given = {**os.environ, **dict.fromkeys(names, "x")}
    with Sandbox([TEMPTATIONS], sandbox_environment(given), Path.cwd()) as sandbox:
        assert caller(sandbox)("looks", names=names).output == {**dict.fromkeys(names), "LANG": "x"}


def test_it_survives_components_that_end_or_hang_their_process(call: Call) -> None:
    for code in (0, 7):
        assert call("leaves", code=code).refused == f"it ended its process (exit code {code})"
        assert call("awaits", x=code).output == code + 1
    assert call("hangs", 300) == Answer(late=True)
    assert call("awaits", x=1).output == 2
    assert (call("exits").error or {})["type"] == "SystemExit"
    assert call("eats").refused == "the sandbox does not allow so much memory"
    assert call("awaits", x=1).output == 2


def test_errors_come_back_and_what_is_not_safe_to_repeat_is_not_run(call: Call) -> None:
    assert call("fails", text="no").error == {"type": "ValueError", "message": "no", "retryable": True}
    assert (call("fails").error or {})["type"] == "InvalidComponentInput"
    assert (call("odd").error or {})["type"] == "InvalidComponentOutput"
    assert call("sends_once").refused == "the sandbox does not allow a component whose effect is at_most_once"
    assert call("zzzzzz").refused == "there is no component 'zzzzzz'; give its module with --components"


def test_components_that_cannot_be_loaded_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise ValueError('not today')\n")
    (tmp_path / "tempted.py").write_text("import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    (tmp_path / "gone.py").write_text("import os\nos._exit(4)\n")
    said = []
    for name in ("broken.py", "tempted.py", "gone.py"):
        with Sandbox([name], sandbox_environment(dict(os.environ)), tmp_path) as sandbox:
            said.append(caller(sandbox)("any").refused)
    assert "ValueError: not today" in said[0]
    assert "cannot be loaded: socket." in said[1]
    assert "end the process when they are loaded" in said[2]
