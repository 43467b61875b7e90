"""A program with an engine that forks: its children use the engine with connections of their own, and end nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.acceptance.processes import ROOT

PROGRAM = """
import json, os, sys, threading
from openagents_json import tool
from openagents_json.engine import Engine

begun, let = threading.Event(), threading.Event()

@tool("held", effect="idempotent")
def held() -> int:
    begun.set()
    let.wait(60)
    return 1

@tool("quick", effect="pure")
def quick() -> int:
    return 1

def one(component):
    return {"id": component, "steps": [{"id": "a", "component": component}]}

def forked(what):
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        what()
        status = 0
    finally:
        os._exit(status)

with Engine.embedded(sys.argv[1], workers=2, components=[held, quick]) as engine:
    run = engine.start(one("held"))
    assert begun.wait(60)
    assert engine.run(one("quick"), timeout=60).ok  # a module that is imported at the fork stays locked in the child
    stop = threading.Event()

    def use():
        while not stop.is_set():
            engine.state(engine.start(one("quick")))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()

    def look_and_close():
        assert engine.state(run).status == "running"
        assert engine.wait(engine.start(one("quick")), timeout=60).ok
        engine.close()

    ended = [os.waitpid(forked(look_and_close), 0)[1] for _ in range(int(sys.argv[2]))]
    stop.set()
    for thread in threads:
        thread.join()
    let.set()
    result = engine.wait(run, timeout=60)
    kinds = [event.type for event in engine.history(run)]
    print(json.dumps({"ended": ended, "status": result.status, "kinds": kinds, "doctor": len(engine.doctor())}))
"""


def test_children_of_a_program_use_its_engine_and_their_ends_are_their_own(
    tmp_path: Path,
) -> None:
    program, children = tmp_path / "program.py", 12
    program.write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "store"), str(children)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ended"] == [0] * children
    assert (told["status"], told["doctor"]) == ("completed", 0)
    assert told["kinds"] == [
        "RunStarted",
        "StepScheduled",
        "StepStarted",
        "StepCompleted",
        "RunCompleted",
    ]
