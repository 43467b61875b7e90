"""Following runs: to the end that they have now, with its exit code, and with a word when nobody works on them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from openagents_json import Context, tool
from openagents_json.engine import Engine
from tests.acceptance.command_world import of_file
from tests.acceptance.processes import COMMAND, COMPONENTS, ROOT, openagents
from tests.conftest import wait_for

pytestmark = pytest.mark.one_worker
FAR = "x" * 90 + "the end"
FAILS = {
    "id": "wf",
    "steps": [{"id": "a", "component": "of_file"}],
    "output": "{{a.output}}",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("following") / "data"


@pytest.fixture(scope="module")
def engine(data: Path) -> Iterator[Engine]:
    """A store whose component does what a file says, in this process."""

    @tool("shows", effect="pure")
    def shows(context: Context) -> None:
        for value in ("to", "kens", {"done": 1}, 2, "last"):
            context.emit(value)

    data.mkdir()
    with Engine.embedded(data, components=[of_file(data), shows], workers=1) as opened:
        yield opened


def call(data: Path, *arguments: str) -> tuple[int, str, str]:
    done = openagents(*arguments, "--data", str(data))
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_an_old_end_of_a_run_that_was_opened_again_is_none(
    engine: Engine, data: Path
) -> None:
    (data / "says").write_text("not yet")
    (data / "wf.json").write_text(json.dumps(FAILS))
    code, out, _ = call(
        data, "run", str(data / "wf.json"), "--key", "k", "--workers", "0"
    )
    run = json.loads(out)["id"]
    assert (code, json.loads(out)["status"]) == (1, "failed")
    assert call(data, "runs", "watch", run)[0] == 1
    (data / "says").write_text("well")
    engine.retry(run)
    code, out, _ = call(data, "runs", "watch", run, "--json")
    types = [json.loads(line)["type"] for line in out.splitlines()]
    assert (code, types.count("RunFailed"), types[-1]) == (0, 1, "RunCompleted")
    code, out, err = call(
        data, "run", str(data / "wf.json"), "--key", "k", "--workers", "0"
    )
    assert (code, json.loads(out)) == (
        0,
        {"id": run, "status": "completed", "output": "well", "error": None},
    )
    assert "run completed" in err.splitlines()[-1]


def test_watching_a_cancelled_run_and_replaying_a_failing_one_say_so_by_their_exit_code(
    engine: Engine, data: Path
) -> None:
    waits = engine.start(
        {"id": "waits", "steps": [{"id": "a", "wait_for": {"signal": "go"}}]}
    )
    engine.cancel(waits, "enough")
    assert call(data, "runs", "watch", waits)[0] == 3
    (data / "says").write_text(FAR)
    run = engine.run(FAILS, timeout=30).id
    code, out, _ = call(data, "runs", "replay", run, "--explain")
    assert (code, out.splitlines()[0]) == (1, f"{run} failed")


def test_what_goes_into_a_pipe_is_not_cut(engine: Engine, data: Path) -> None:
    (data / "says").write_text(FAR)
    run = engine.run(FAILS, timeout=30).id
    for arguments in (("runs", "list"), ("runs", "failures"), ("runs", "history", run)):
        assert FAR in call(data, *arguments)[1]


def test_what_components_show_stands_apart(engine: Engine, data: Path) -> None:
    steps = [{"id": "a", "component": "shows"}, {"id": "b", "component": "shows"}]
    run = engine.run({"id": "emits", "steps": steps}, timeout=30).id
    wait_for(lambda: len(engine.emitted(run)) == 10)
    assert (
        call(data, "runs", "output", run)[1]
        == 'tokens\n{"done": 1}\n2\nlast\ntokens\n{"done": 1}\n2\nlast\n'
    )


def test_the_time_that_somebody_waited_is_said(engine: Engine, data: Path) -> None:
    (data / "nap.json").write_text(
        json.dumps({"id": "nap", "steps": [{"id": "a", "sleep": 600}]})
    )
    code, out, err = call(
        data, "run", str(data / "nap.json"), "--timeout", "0.2", "--workers", "0"
    )
    assert (code, out) == (8, "")
    assert "is still running after 0.2 s" in err
    for option in ("--workers", "--timeout"):
        assert call(data, "run", str(data / "nap.json"), option, "-1")[0] == 2


def test_who_waits_for_nobody_is_told_and_may_leave(tmp_path: Path) -> None:
    """Ctrl-C ends it in good order."""
    store = ("--data", str(tmp_path / "data"))
    (tmp_path / "wf.json").write_text(
        json.dumps({"id": "q", "steps": [{"id": "a", "component": "fail"}]})
    )
    done = openagents("run", str(tmp_path / "wf.json"), "-c", str(COMPONENTS), *store)
    assert openagents("doctor", *store).returncode == 0
    run = json.loads(done.stdout)["id"]
    command = [*COMMAND, "runs", "replay", run, "--explain", *store]
    waits = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert waits.stderr is not None
    assert "no worker is alive" in waits.stderr.readline()
    findings = json.loads(openagents("doctor", "--json", *store).stdout)["findings"]
    assert ("error", "workers") in [(x["level"], x["code"]) for x in findings]
    waits.send_signal(signal.SIGINT)
    out, err = waits.communicate(timeout=30)
    assert (waits.returncode, out) == (130, "")
    lines = err.splitlines()
    assert f"openagents runs watch {run}" in lines[1]
    assert lines[-1] == "openagents: interrupted"


INTERRUPTED = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from cli.main import main
main(sys.argv[2:])
"""


@pytest.mark.parametrize(
    "module", ["click", "cli.commands.runs.list", "pydantic", "redis", "rich.table"]
)
def test_ctrl_c_is_answered_from_the_first_moment_on(
    module: str, tmp_path: Path
) -> None:
    with Engine.embedded(tmp_path, components=[], workers=0):
        pass
    command = [
        sys.executable,
        "-c",
        INTERRUPTED,
        module,
        "runs",
        "list",
        "--data",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    told = done.stderr.split("\n")
    assert [line for line in told if line][-1] == "openagents: interrupted"
    assert "Traceback" not in done.stderr


def test_a_terminal_without_a_character_gets_it_escaped(
    engine: Engine, data: Path
) -> None:
    (data / "says").write_text("schön ☃")
    engine.run(FAILS, timeout=30)
    done = subprocess.run(
        [*COMMAND, "runs", "list", "--data", str(data)],
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"sch\xf6n \u2603" in done.stdout
