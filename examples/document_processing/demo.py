"""The main job: many documents, two workers, one of them killed in the middle."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from openagents_json.catalog.loader import load
from openagents_json.engine import Engine, HistoryEvent

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OPENAGENTS = Path(sys.executable).parent / "openagents"
COPIES = 4
ARGUMENTS = argparse.ArgumentParser(description=__doc__)
ARGUMENTS.add_argument(
    "data", nargs="?", type=Path, default=ROOT / ".openagents" / "demo"
)
ARGUMENTS.add_argument("--serve", action="store_true", help="Serve the page then.")
OPTIONS = ARGUMENTS.parse_args()
DATA: Path = OPTIONS.data
console = Console(width=110, highlight=False)


def start_worker(url: str, name: str) -> subprocess.Popen[bytes]:
    """Start a worker process on the store."""
    command = [
        str(OPENAGENTS),
        "worker",
        "--url",
        url,
        "--name",
        name,
    ]
    command += [
        "--components",
        str(HERE / "components.py"),
        "--concurrency",
        "2",
        "--lease-ms",
        "2000",
    ]
    log = (DATA / f"{name}.log").open("wb")
    with log:
        return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)


def held_by(engine: Engine, runs: list[str], worker: str) -> str | None:
    """Return a run of which the worker holds a step, if there is one.

    A step that waits for its retry still names the worker of its last attempt, and nobody holds it.
    """
    for step in engine.views.steps(status="started", worker=f"{worker}:"):
        if step.run in runs:
            return step.run
    return None


def wait_for_work(engine: Engine, runs: list[str], worker: str) -> None:
    """Wait until a worker holds a step."""
    pause = threading.Event()
    for _ in range(3000):
        if held_by(engine, runs, worker):
            return
        pause.wait(0.01)
    raise SystemExit(f"{worker} took no work; see {DATA / worker}.log")


def kill_in_the_middle(
    engine: Engine, runs: list[str], worker: str, process: subprocess.Popen[bytes]
) -> str:
    """Kill a worker while it holds a step; return the run of that step.

    A step may end between the look and the kill, so the worker is frozen first.
    """
    while True:
        wait_for_work(engine, runs, worker)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        # What it wrote before it froze may still be on its way: the second look sees it.
        held_by(engine, runs, worker)
        run = held_by(engine, runs, worker)
        if run is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return run
        process.send_signal(signal.SIGCONT)


def takeovers(history: list[HistoryEvent]) -> list[tuple[str, str, str]]:
    """Return the steps that one worker lost and another took over."""
    taken_over = []
    last: dict[str | None, str] = {}
    for event in history:
        if event.type == "StepLeaseLost":
            last[event.step] = event.data["worker"]
        elif event.type == "StepStarted" and event.step in last:
            before = last.pop(event.step)
            taken_over.append((str(event.step), before, str(event.worker)))
    return taken_over


def show_takeovers(engine: Engine, runs: list[str]) -> list[str]:
    """Print which steps were taken over, and return their runs."""
    with_takeovers = []
    for run in runs:
        steps = takeovers(engine.history(run))
        for step, before, after in steps:
            console.print(
                f"{run}: step {step} was taken over from {short(before)} by {short(after)}"
            )
        if steps:
            with_takeovers.append(run)
    return with_takeovers


def short(worker: str) -> str:
    """Return the name of a worker without process and thread."""
    return worker.split(":")[0]


def show_results(engine: Engine, runs: list[str]) -> None:
    """Print one row a document."""
    table = Table(
        "document", "runs", "status", "words", "sentiment", "attempts to archive"
    )
    documents = sorted((HERE / "documents").glob("*.pdf"))
    for index, document in enumerate(documents):
        mine = runs[index :: len(documents)]
        results = [engine.wait(run) for run in mine]
        attempts = [
            sum(
                e.type == "StepStarted" and e.step == "archive"
                for e in engine.history(run)
            )
            for run in mine
        ]
        output = results[0].output
        mood = (
            output["sentiment"]["label"]
            if output["sentiment"]
            else "(no text: skipped)"
        )
        statuses = ", ".join(sorted({result.status for result in results}))
        table.add_row(
            document.stem,
            str(len(mine)),
            statuses,
            str(output["words"]),
            mood,
            ", ".join(map(str, attempts)),
        )
    console.print(table)


def show_history(engine: Engine, run: str) -> None:
    """Print the history of one run."""
    table = Table("#", "event", "step", "attempt", "by", title=f"history of {run}")
    for event in engine.history(run):
        attempt = "" if event.attempt is None else str(event.attempt)
        table.add_row(
            str(event.version),
            event.type,
            event.step or "",
            attempt,
            short(event.worker or event.actor),
        )
    console.print(table)


def show_page(engine: Engine) -> None:
    """Serve the web page of these runs until Ctrl-C where that is asked for, and else say how to."""
    if not OPTIONS.serve:
        command = f"{OPENAGENTS} serve --open --data {DATA}"
        console.print(
            f"to see them in a browser: {command}\n"
            "and open http://127.0.0.1:8080/; or make demo SERVE=1",
            soft_wrap=True,
        )
        return
    from openagents_json.server.serving import Address, serve

    worker = start_worker(engine.url, "worker-3")  # for what is retried on the page
    try:
        # A port that is free: that of another service is no reason to end here.
        serve(engine, Address(port=0), is_open=True, tell=console.print)
    finally:
        worker.terminate()
        worker.wait(30)


def main() -> int:
    """Run the demonstration; the exit code says whether every run completed."""
    shutil.rmtree(DATA, ignore_errors=True)
    documents = sorted((HERE / "documents").glob("*.pdf"))
    registry = load([str(HERE / "components.py")])
    with Engine.embedded(DATA, components=registry, workers=0, actor="demo") as engine:
        console.print(f"store and broker: {engine.url}")
        inputs = [
            {"document": str(path), "archive": str(DATA / "archive")}
            for path in documents * COPIES
        ]
        runs = engine.start_many([(HERE / "workflow.json", given) for given in inputs])
        console.print(
            f"started {len(runs)} runs over {len(documents)} documents; now two workers"
        )
        workers = {
            name: start_worker(engine.url, name) for name in ("worker-1", "worker-2")
        }
        try:
            run = kill_in_the_middle(engine, runs, "worker-1", workers["worker-1"])
            console.print(
                "worker-1 held a step and was killed with SIGKILL; worker-2 goes on alone"
            )
            statuses = Counter(engine.wait(run, timeout=120).status for run in runs)
        finally:
            for process in workers.values():
                process.terminate()
        show_results(engine, runs)
        with_takeovers = show_takeovers(engine, runs)
        show_history(engine, next(iter(with_takeovers), run))
        problems = engine.doctor()
        console.print(f"{dict(statuses)}; invariants broken: {len(problems)}")
        for process in workers.values():
            process.wait(30)
        show_page(engine)
        return 0 if statuses == {"completed": len(runs)} and not problems else 1


if __name__ == "__main__":
    sys.exit(main())
