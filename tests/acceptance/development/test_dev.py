"""`openagents dev`: it shows what runs, and follows the files of components and documents while runs are under way."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import COMMAND, openagents
from tests.conftest import wait_for
from tests.fork_server import ForkedProcess

COMPONENTS = """
import time
from pathlib import Path
from helpers import WORD
from openagents_json import agent, capability, tool

@tool("say", effect="idempotent")
def say(name: str) -> str:
    return f"{WORD} {name}"

@agent("greeter")
class Greeter:
    def __init__(self) -> None:
        self.word = WORD

    @capability
    def greet(self, name: str) -> str:
        return f"{self.word} {name}"

@tool("hangs", effect="idempotent")
def hangs() -> str:
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return WORD

@tool("flaky")
def flaky() -> None:
    if not Path("mended").exists():
        Path("mended").touch()
        raise ValueError("not yet")

@tool("kills")
def kills() -> None:
    import os
    if not Path("killed").exists():
        Path("killed").touch()
        os._exit(7)
"""


def document(component: str, **inputs: str) -> dict[str, object]:
    retry = {"max_retries": 1, "delay_seconds": 0.01}
    step = {"id": "a", "component": component, "inputs": inputs, "retry": retry}
    return {
        "id": component.replace(".", "-"),
        "steps": [step],
        "output": "{{a.output}}",
    }


@dataclass
class Dev:
    """A `dev` under way, and all that it has said so far."""

    folder: Path
    process: subprocess.Popen[str]
    text: str = ""

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.text += line

    def says(self, pattern: str, after: int = 0) -> int:
        """Wait until a line says something; gives where the text ends then."""
        wait_for(lambda: re.search(pattern, self.text[after:], re.M) is not None)
        return len(self.text)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, component: str, *more: str) -> object:
        done = openagents("run", f"{component}.json", *more, folder=self.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["output"]


@contextmanager
def developing(
    folder: Path, *more: str, named: tuple[str, ...] = ("-c", "components.py")
) -> Iterator[Dev]:
    """Have a `dev` for the time of a block; it ends in good order, and leaves no process behind.

    `named` says which components it is to load; without, it has to find them.
    """
    for name in ("say", "greeter.greet", "hangs", "flaky", "kills"):
        inputs = {"name": "Ada"} if name in ("say", "greeter.greet") else {}
        (folder / f"{name}.json").write_text(json.dumps(document(name, **inputs)))
    (folder / "components.py").write_text(COMPONENTS)
    (folder / "helpers.py").write_text("WORD = 'Hello'\n")
    arguments = ["dev", *named, "--lease-ms", "1500", *more]
    process = ForkedProcess(
        [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, cwd=folder
    )
    dev = Dev(folder, process)
    reader = threading.Thread(target=dev.read)
    reader.start()
    try:
        dev.says("working on")
        yield dev
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        reader.join(60)  # its workers have the same stderr: the end of it is theirs too
        assert not reader.is_alive()
        assert process.stderr is not None
        process.stderr.close()
        assert code == 0, dev.text


def test_components_are_loaded_anew_and_a_broken_file_leaves_the_old_ones_at_work(
    tmp_path: Path,
) -> None:
    with developing(tmp_path) as dev:
        assert dev.run("greeter.greet") == "Hello Ada"
        # What a component imports from beside it counts, too.
        dev.write("helpers.py", "WORD = 'Good morning'\n")
        at = dev.says(r"reloaded: helpers\.py")
        # No instance of before is left in a pool.
        assert dev.run("greeter.greet") == "Good morning Ada"

        dev.write("helpers.py", "WORD = 'Hi'\nthis is not Python\n")
        at = dev.says("as they were before go on working", at)
        [error] = re.findall(r"^openagents: .*cannot be loaded.*$", dev.text, re.M)
        assert error.endswith("correct it, or name another module")
        assert re.search(r"helpers\.py\b.*\b2\b", error), error
        assert dev.run("say") == "Good morning Ada"

        # What mends it may be a file that was not there, and that nothing has loaded.
        dev.write("helpers.py", "from words import HI as WORD\n")
        at = dev.says("No module named 'words'", at)
        dev.write("words.py", "HI = 'Hi'\n")
        dev.says(r"reloaded: .*words\.py", at)
        assert dev.run("say") == "Hi Ada"
    assert "Traceback" not in dev.text


def test_a_step_that_runs_during_a_reload_ends_as_it_began_and_its_run_goes_on(
    tmp_path: Path,
) -> None:
    with developing(tmp_path) as dev:
        started = openagents("run", "hangs.json", "--detach", folder=tmp_path)
        run = json.loads(started.stdout)["id"]
        wait_for((tmp_path / "begun").exists)
        dev.write("helpers.py", "WORD = 'new'\n")
        dev.says(r"reloaded: helpers\.py")
        assert dev.run("say") == "new Ada"
        (tmp_path / "go").touch()
        watched = openagents("runs", "watch", run, "--json", folder=tmp_path)
        events = [json.loads(line) for line in watched.stdout.splitlines()]
        assert events[-1]["data"]["output"] == "Hello"
        types = [event["type"] for event in events]
        assert types.count("StepStarted") == 1


def test_what_happens_is_shown_in_lines_and_a_worker_that_dies_is_replaced(
    tmp_path: Path,
) -> None:
    with developing(tmp_path) as dev:
        dev.run("flaky", "--key", "k")
        dev.says("flaky completed in")
        run = openagents("run", "flaky.json", "--key", "k", folder=tmp_path)
        short = json.loads(run.stdout)["id"][:14]
        lines = [
            line.split(f" {short} ")[1]
            for line in dev.text.splitlines()
            if short in line
        ]
        took = r"\d+(\.\d)? m?s"
        expected = [
            "flaky started",
            "  a started",
            rf"  a failed in {took}, again in {took}: ValueError: not yet",
            r"  a started \(attempt 2\)",
            rf"  a completed \(attempt 2\) in {took}",
            rf"flaky completed in {took}",
        ]
        assert len(lines) == len(expected), lines
        for line, pattern in zip(lines, expected, strict=True):
            assert re.fullmatch(pattern, line), (line, pattern)

        waits = {"id": "waits", "steps": [{"id": "a", "wait_for": {"signal": "go"}}]}
        dev.write("waits.json", json.dumps(waits))
        started = openagents("run", "waits.json", "--detach", folder=tmp_path)
        run_id = json.loads(started.stdout)["id"]
        dev.says("a waits for signal go: openagents runs signal")
        [command] = re.findall(r"waits for signal go: openagents (.*)$", dev.text, re.M)
        assert openagents(*command.split(), folder=tmp_path).returncode == 0
        dev.says("waits completed in")
        assert run_id.startswith(command.split()[2])

        dev.run("kills")
        dev.says(r"the worker has ended \(status 7\)")
        dev.says("lost its worker")


def test_documents_are_checked_when_they_change(tmp_path: Path) -> None:
    with developing(tmp_path, named=()) as dev:
        assert "components: components.py, as no others are named" in dev.text
        dev.write(
            "say.json", '{"id": "say",\n "steps": [{"id": "a", "component": "sya"}]}'
        )
        at = dev.says(r"^say\.json:2:\d+: error .*say")
        dev.write("say.json", '{"id": "say",\n "steps": [')
        at = dev.says(r"^say\.json:2:\d+: error", at)
        dev.write("say.json", json.dumps(document("say", name="Bob")))
        at = dev.says(r"^say\.json: valid", at)
        assert dev.run("say") == "Hello Bob"
        dev.write("more.yaml", "id: say\nsteps:\n- {id: a, component: sya}\n")
        at = dev.says(r"^more\.yaml:3:\d+: error .*say", at)
        dev.write("more.yaml", "id: say\nsteps:\n- {id: a, component: say")
        at = dev.says(r"^more\.yaml:\d+:\d+: error", at)
        # What is no workflow is looked at with what comes after it, and nothing is said of it.
        dev.write("data.json", '{"data": [1, 2]}')
        dev.write("more.yaml", json.dumps(document("say", name="Bob")))
        dev.says(r"^more\.yaml: valid", at)
        assert "data.json" not in dev.text


def test_documents_are_checked_against_what_is_loaded_and_not_what_once_was(
    tmp_path: Path,
) -> None:
    profile = '[profiles.default]\ncomponents = ["components.py"]\n'
    (tmp_path / "openagents.toml").write_text(profile)
    with developing(tmp_path, named=()) as dev:
        assert "no others are named" not in dev.text
        assert dev.run("say") == "Hello Ada"
        dev.write(
            "components.py", COMPONENTS.replace('@tool("flaky")', '@tool("calm")')
        )
        # Nobody touches the document: the store still knows the component, and no worker has it.
        at = dev.says(r"^flaky\.json:\d+:\d+: error unknown_component: .*flaky")
        assert dev.run("say") == "Hello Ada"
        dev.write("components.py", COMPONENTS)
        dev.says(r"^flaky\.json: valid", at)
        assert not re.search(r"^(say|kills|hangs)\.json", dev.text, re.M)


LIMITS = """
[profiles.default.worker_types.tool]
pool = "prefork"
memory_mb = 900
max_attempts = 1
"""
SPEC = "name: {}\nhttp: {{method: get, base: 'http://127.0.0.1:9', path: /a}}\n"


def test_a_folder_of_specs_is_followed_and_worker_types_limit_their_steps(
    tmp_path: Path,
) -> None:
    (tmp_path / "openagents.toml").write_text(LIMITS)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "lamps.yaml").write_text(SPEC.format("shop.lamps"))
    with developing(tmp_path, named=("-c", "components.py", "-c", "specs/")) as dev:
        dev.says("memory limits of types are for `openagents worker --type`")
        failed = openagents("run", "flaky.json", folder=tmp_path)
        assert failed.returncode == 1
        assert "not yet" in failed.stdout

        dev.write("shop.json", json.dumps(document("shop.chairs")))
        at = dev.says(r"shop\.json.*there is no component 'shop\.chairs'")
        dev.write("specs/chairs.yaml", SPEC.format("shop.chairs"))
        at = dev.says(r"reloaded: specs/chairs\.yaml", at)
        dev.write("specs/chairs.yaml", "name: [")
        at = dev.says("as they were before go on working", at)
        (tmp_path / "specs" / "chairs.yaml").unlink()
        dev.says(r"reloaded: specs/chairs\.yaml", at)
    assert "Traceback" not in dev.text


def test_components_that_cannot_be_loaded_at_the_start_end_it(tmp_path: Path) -> None:
    (tmp_path / "components.py").write_text("import nothing_of_that_name\n")
    done = subprocess.run(
        [*COMMAND, "dev", "-c", "components.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 1
    assert "components.py:1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dev_that_is_killed_leaves_no_worker_behind(tmp_path: Path) -> None:
    with developing(tmp_path) as dev:
        shown = openagents("workers", "--json", folder=tmp_path)
        [worker] = json.loads(shown.stdout)
        pid = int(worker["worker"].split(":")[1])
        dev.process.kill()
        dev.process.wait()
        wait_for(lambda: not Path(f"/proc/{pid}").exists())
        dev.process.returncode = 0
        assert pid != os.getpid()


def test_the_api_and_the_page_are_served_where_it_says(tmp_path: Path) -> None:
    with developing(tmp_path) as dev:
        dev.says(r"^API and page: http://127\.0\.0\.1:\d+/$")
        [address] = re.findall(r"^API and page: (\S+)$", dev.text, re.M)
        asked = {"workflow": document("say", name="Ada"), "inputs": {}}
        start = urllib.request.Request(
            f"{address}v1/runs",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json", "Prefer": "wait=60"},
        )
        with urllib.request.urlopen(start, timeout=60) as answer:
            assert json.load(answer)["output"] == "Hello Ada"
        with urllib.request.urlopen(address, timeout=60) as page:
            assert page.headers["Content-Type"].startswith("text/html")
        # Two cannot listen on one port: the second says so, and works on nothing.
        port = address.rstrip("/").rpartition(":")[2]
        refused = openagents("dev", "--port", port, folder=tmp_path)
        assert refused.returncode == 1
        assert f"cannot listen on 127.0.0.1, port {port}" in refused.stderr


def test_nothing_is_served_where_that_is_left_out(tmp_path: Path) -> None:
    with developing(tmp_path, "--no-serve") as dev:
        assert "API and page" not in dev.text
