"""`openagents runs heal` through real processes, and under kill -9."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMMAND, COMPONENTS, ROOT, openagents, worker
from tests.conftest import Server, wait_for
from tests.fork_server import ForkedProcess

MENDED = COMPONENTS.with_name("mended.py")


def document(book: str = "book", version: str = "1.0.0") -> dict[str, Any]:
    given = {"cents": "{{price.output}}", "folder": "{{input.folder}}"}
    return {
        "id": "order",
        "version": version,
        "inputs": {
            "x": {"type": "integer", "required": True},
            "folder": {"type": "string", "required": True},
        },
        "steps": [
            {"id": "price", "component": "price", "inputs": {"x": "{{input.x}}"}},
            {
                "id": "book",
                "component": book,
                "inputs": given if book == "book" else {"ms": 5},
            },
            {
                "id": "note",
                "component": "note",
                "inputs": {"text": "{{book.output}}", "folder": "{{input.folder}}"},
            },
        ],
        "output": "{{note.output}}",
    }


@pytest.fixture
def store(server: Server) -> Iterator[tuple[Engine, tuple[str, ...]]]:
    """Two workers on a store of their own, and what tells a command of it."""
    prefix, registry = server.prefix(), load([str(COMPONENTS), str(MENDED)])
    with Engine.connect(
        server.url, broker=server.url, components=registry, prefix=prefix, partitions=4
    ) as engine:
        workers = [worker(server, prefix, more=("-c", str(MENDED))) for _ in range(2)]
        yield (
            engine,
            (
                "--url",
                server.url,
                "--prefix",
                prefix,
                "-c",
                str(MENDED),
                "-c",
                str(COMPONENTS),
            ),
        )
        for process in workers:
            process.kill()
            process.wait()
        assert engine.doctor() == []


def failed(engine: Engine, folder: Path, count: int) -> list[str]:
    starts = [
        (document(), {"x": 2 * number + 1, "folder": str(folder)})
        for number in range(count)
    ]
    runs = engine.start_many(starts)
    assert {engine.wait(run, timeout=60).status for run in runs} == {"failed"}
    return list[str](runs)


def reopenings(engine: Engine, run: str) -> list[str]:
    return [event.cause for event in engine.history(run) if event.type == "RunReopened"]


def test_a_class_of_failures_is_healed_by_mended_components_and_another_version(
    store: tuple[Engine, tuple[str, ...]], tmp_path: Path
) -> None:
    engine, there = store
    runs = failed(engine, tmp_path, 6)
    name = engine.views.runs().items[0].fingerprint
    file = tmp_path / "mended.json"
    file.write_text(json.dumps(document("slow", "1.0.1")))
    command = (
        "runs",
        "heal",
        *there,
        "--where",
        f"fingerprint={name}",
        "--where",
        "started_after=1h",
    )
    command = (
        *command,
        "--workflow",
        str(file),
        "--mock",
        'note="noted"',
        "--reason",
        "a slow one",
    )
    dry = openagents(*command, "--dry-run")
    assert (dry.returncode, "6 fixed, 0 still failing" in dry.stdout) == (0, True), dry
    assert all(run in dry.stdout for run in runs)
    assert [reopenings(engine, run) for run in runs] == [[]] * 6
    heal = dry.stdout.split("--resume ")[1].split()[0]
    done = openagents("runs", "heal", *there, "--resume", heal, "--json")
    assert done.returncode == 0, done
    report = json.loads(done.stdout)
    assert (report["status"], report["well"], report["counts"]["fixed"]) == (
        "closed",
        True,
        6,
    )
    assert [engine.wait(run, timeout=30).output for run in runs] == ["noted 5"] * 6
    assert [reopenings(engine, run) for run in runs] == [[heal]] * 6
    shown = openagents("runs", "explain", *there, runs[0])
    assert f"healed by {heal}: a slow one" in shown.stdout
    told = openagents("runs", "history", *there, heal, "--format", "jsonl")
    kinds = [json.loads(line)["type"] for line in told.stdout.splitlines()]
    assert (kinds[0], kinds[-1], kinds.count("RunHealed")) == (
        "HealStarted",
        "HealClosed",
        6,
    )
    assert sorted((tmp_path / "notes").read_text().split()) == sorted(runs)


def test_failures_to_heal_are_told_by_the_exit_code_and_a_word(
    store: tuple[Engine, tuple[str, ...]], tmp_path: Path
) -> None:
    engine, there = store
    failed(engine, tmp_path, 2)
    command = ("runs", "heal", *there, "--where", "workflow=order")
    still = openagents(*command)
    assert (still.returncode, "0 fixed, 2 still failing" in still.stdout) == (
        1,
        True,
    ), still
    for more, message in (
        ((), "say which failed runs"),
        (("--where", "status=failed"), "'status' is none of workflow"),
        (("--where", "started_after=soon"), "is no time"),
        (("--where", "workflow=order", "--waves", "many"), "neither a count"),
        (("--where", "workflow=order", "--mock", "note"), "'note' is not STEP=JSON"),
        (("--resume", "heal-none"), "there is no heal"),
    ):
        done = openagents("runs", "heal", *there, *more)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_the_embedded_store_is_healed_by_threads_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text(json.dumps(document()))
    there = ("--data", str(tmp_path / "data"))
    given = ("-c", str(MENDED), "--input", "x=1", "--input", f"folder={tmp_path}")
    assert (
        openagents("run", *there, str(tmp_path / "order.json"), *given).returncode == 1
    )
    (tmp_path / "mended").touch()
    heal = ("runs", "heal", *there, "--json")
    dry = openagents(
        *heal,
        "--where",
        "workflow=order",
        "-c",
        str(MENDED),
        "--mock",
        "note=1",
        "--dry-run",
    )
    name = json.loads(dry.stdout)["id"]
    alone = openagents(*heal, "--resume", name)
    assert (alone.returncode, "give the components with -c" in alone.stderr) == (
        2,
        True,
    )
    done = openagents(*heal, "--resume", name, "-c", str(MENDED))
    assert (done.returncode, json.loads(done.stdout)["well"]) == (0, True)


READER = """
from pathlib import Path
from openagents_json import tool

@tool("reader")
def reader(file: str) -> str:
    return Path(file).read_text()
"""
BARE = [sys.executable, str(Path(__file__).with_name("bare.py")), *COMMAND[1:]]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program's folder, with runs that failed for the want of files, which are there by now."""
    steps = [
        {"id": "read", "component": "reader", "inputs": {"file": "{{input.file}}"}}
    ]
    inputs = {"file": {"type": "string", "required": True}}
    (tmp_path / "read.json").write_text(
        json.dumps({"id": "read", "inputs": inputs, "steps": steps})
    )
    (tmp_path / "reader.py").write_text(READER)
    for name in ("prices.csv", ".env"):
        run = ("run", "read.json", "-c", "reader.py", "--input", f"file={name}")
        assert openagents(*run, folder=tmp_path).returncode == 1
    for name in ("prices.csv", ".env"):
        (tmp_path / name).write_text("a,1")
    return tmp_path


HEAL = ("runs", "heal", "-c", "reader.py", "--where", "workflow=read", "--dry-run")


def test_the_backtest_reads_what_is_beside_the_program_and_no_secrets(
    program: Path,
) -> None:
    report = json.loads(openagents(*HEAL, "--json", folder=program).stdout)
    assert (report["counts"]["fixed"], report["counts"]["unproven"]) == (1, 1)
    [why] = [run["reason"] for run in report["runs"] if run["verdict"] == "unproven"]
    assert why.startswith(
        "step read: the sandbox does not allow reading '.env', where secrets are; --mock 'read=JSON'"
    )


def test_the_store_is_a_secret_wherever_it_lies_and_the_program_beside_it_is_not(
    program: Path,
) -> None:
    inputs = ("--input", "file=gone.conf")
    there = ("--data", ".", "-c", "reader.py")
    program.chmod(0o700)
    assert (
        openagents("run", "read.json", *there, *inputs, folder=program).returncode == 1
    )
    again = ("runs", "heal", *there, "--where", "workflow=read", "--dry-run", "--json")
    report = openagents(*again, "--set", "file=prices.csv", folder=program)
    assert json.loads(report.stdout)["counts"]["fixed"] == 1, report
    [report] = json.loads(
        openagents(*again, "--set", "file=server.conf", folder=program).stdout
    )["runs"]
    assert (
        "the sandbox does not allow reading 'server.conf', where secrets are"
        in report["reason"]
    )


def test_what_the_kernel_does_not_keep_components_from_is_said_first_and_can_be_refused(
    program: Path,
) -> None:
    def heal(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*BARE, *more], cwd=program, capture_output=True, text=True
        )

    warning = "nothing on this machine keeps code in C from the network; other programs and processes; changing files; "
    refused = heal(*HEAL, "--sandbox", "strict")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert (
        f"a strict sandbox is not to be had here: sandbox: components in Python are kept in; {warning}"
        in refused.stderr
    )
    assert "Traceback" not in refused.stderr
    name = refused.stderr.split("--resume ")[1].split("`")[0]
    kinds = [
        json.loads(line)["type"]
        for line in heal(
            "runs", "history", name, "--format", "jsonl"
        ).stdout.splitlines()
    ]
    assert kinds == ["HealStarted", "RunsSelected", "SandboxBegun"]
    done = heal(*HEAL[:4], "--resume", name, "--dry-run")
    assert (done.returncode, warning in done.stdout, "1 fixed" in done.stdout) == (
        0,
        True,
        True,
    ), done
    assert done.stderr.index(warning) < done.stderr.index("2 of 2 runs tested")
    late = openagents(
        *HEAL[:4], "--resume", name, "--dry-run", "--sandbox", "strict", folder=program
    )
    assert (late.returncode, warning in late.stderr) == (
        1,
        True,
    )  # what it was tested in does not change any more


def test_what_the_environment_has_for_components_is_given_by_name(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program / "reader.py").write_text(
        READER.replace("Path(file).read_text()", "__import__('os').environ['RATES']")
    )
    monkeypatch.setenv("RATES", "1.1")
    report = json.loads(openagents(*HEAL, "--json", folder=program).stdout)
    assert report["counts"]["still failing"] == 2
    report = json.loads(
        openagents(*HEAL, "--json", "--sandbox-env", "RATES", folder=program).stdout
    )
    assert report["counts"]["fixed"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("server", ["valkey"], indirect=True)
@pytest.mark.parametrize(
    "point", ["RunBacktested", "WaveStarted", "RunHealed", "WaveClosed", "second wave"]
)
def test_a_heal_that_is_killed_anywhere_opens_each_run_once_when_it_is_resumed(
    store: tuple[Engine, tuple[str, ...]], tmp_path: Path, point: str
) -> None:
    engine, there = store
    runs = failed(engine, tmp_path, 45)
    (tmp_path / "mended").touch()
    heals: set[str] = set()

    def kinds() -> list[str]:
        log = engine.events.read_all()
        heals.update(item.stream for item in log if item.type == "HealStarted")
        return [item.type for item in log if item.stream in heals]

    def reached() -> bool:
        seen = kinds()
        if point == "second wave":
            return seen.count("WaveStarted") >= 2 and seen.count("RunHealed") >= 4
        return point in seen

    command = [
        "runs",
        "heal",
        *there,
        "--where",
        "workflow=order",
        "--mock",
        "note=1",
        "--waves",
        "1,50%,100%",
    ]
    process = ForkedProcess(
        [*COMMAND, *command],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: reached() or process.poll() is not None)
    process.kill()
    killed = process.wait() != 0
    [heal] = heals
    assert killed or "HealClosed" in kinds()
    both = [
        ForkedProcess(
            [*COMMAND, "runs", "heal", *there, "--resume", heal, "--json"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    reports = [json.loads(other.communicate(timeout=120)[0]) for other in both]
    assert [other.returncode for other in both] == [0, 0]
    assert reports[0] == reports[1]
    assert (reports[0]["counts"]["fixed"], reports[0]["skipped"]) == (45, {})
    assert [reopenings(engine, run) for run in runs] == [[heal]] * 45
    assert {engine.wait(run, timeout=30).status for run in runs} == {"completed"}
    assert sorted((tmp_path / "notes").read_text().split()) == sorted(runs)
    assert (kinds().count("RunHealed"), kinds().count("HealClosed")) == (45, 1)
