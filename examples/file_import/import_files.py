"""Import 500 files: most work, some are tried again, the rest is repaired, and healed as a class."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import components
import mended

from openagents_json.engine import (
    Engine,
    Fix,
    HealRequest,
    RunFailedError,
    RunFilter,
    RunHandle,
    StepFailedError,
)

WORKFLOW = Path(__file__).with_name("workflow.json")
FILES, LOADED = Path("files"), Path("loaded")
BATCH = "2026-11"
COUNT = 500


def main() -> None:
    """Import the batch; begun a second time, it starts no file twice."""
    make_files()
    with Engine.embedded(".openagents", components=[components], workers=4) as engine:
        runs = start(engine)
        failed = asyncio.run(wait_for_all(runs))
        print(f"{len(runs) - len(failed)} of {len(runs)} files imported")
        for reason, count in Counter(failed.values()).items():
            print(f"  {count} failed: {reason}")
        repair(engine, [run for run, reason in failed.items() if "KeyError" in reason])
    with Engine.embedded(".openagents", components=[mended], workers=4) as engine:
        heal(engine)
    rows = [
        row for file in LOADED.glob("*.json") for row in json.loads(file.read_text())
    ]
    print(f"{len(rows)} rows, {sum(row['amount'] for row in rows):.2f} in all")


def start(engine: Engine) -> list[RunHandle[int]]:
    """Start a run for each file, in a few round trips; its key makes it the only one for that file."""
    files = sorted(FILES.glob("*.csv"))
    requests = [
        (WORKFLOW, {"file": str(file), "folder": str(LOADED)}) for file in files
    ]
    keys = [f"{BATCH}/{file.name}" for file in files]
    started = engine.start_many(requests, keys=keys, labels={"batch": BATCH})
    return [RunHandle(run, engine, int) for run in started]


async def wait_for_all(runs: Sequence[RunHandle[int]]) -> dict[RunHandle[int], str]:
    """Wait for all runs, and return those that failed, each with its reason."""
    results = await asyncio.gather(*runs, return_exceptions=True)
    return {
        run: reason_of(result)
        for run, result in zip(runs, results, strict=True)
        if not isinstance(result, int)
    }


def reason_of(error: BaseException) -> str:
    """Say what a step failed with; of values, only that they are wrong."""
    match error:
        case RunFailedError(__cause__=StepFailedError(step=step, type=kind)):
            return f"{kind} in {step}"
        case _:
            raise error


def repair(engine: Engine, runs: Sequence[RunHandle[int]]) -> None:
    """Get files again that were cut off, and let their runs go on from the start."""
    for run in runs:
        file = Path(str(engine.state(run).inputs["file"]))
        write_file(file, "shop,amount", ("north", "7.00"))
        engine.retry(run, step="extract", reason="the file was sent again")
    for run in runs:
        run.result(timeout=60)
    print(f"{len(runs)} files were sent again and imported")


def heal(engine: Engine) -> None:
    """Heal what a new version of a component heals, once that is proven on the recorded runs."""
    chosen = RunFilter(status=("failed",), labels={"batch": BATCH})
    # A backtest writes nothing, so the result of `load` is made up for it.
    fix = Fix(mocks={"load": 0})
    report = engine.heal.begin(HealRequest(chosen, fix, reason="decimal comma"))
    report = engine.heal.backtest(report.id, [mended.__file__])
    proven = [
        run for run, verdict in report.verdicts.items() if verdict.verdict == "fixed"
    ]
    print(f"{len(proven)} of {len(report.verdicts)} are proven to be healed")
    engine.heal.go_on(report.id)
    print(f"{engine.views.count(chosen)} files are left that failed")


def make_files() -> None:
    """Write the files: of some the amounts have a comma, and some were cut off."""
    FILES.mkdir(exist_ok=True)
    LOADED.mkdir(exist_ok=True)
    for number in range(COUNT):
        file = FILES / f"sales-{number:03}.csv"
        if file.exists():
            continue
        if number % 100 == 7:
            write_file(file, "shop", ("north",))
        elif number % 40 == 3:
            write_file(file, "shop,amount", ("north", '"12,50"'))
        else:
            write_file(file, "shop,amount", ("north", "3.25"), ("south", "1.75"))


def write_file(file: Path, *lines: str | tuple[str, ...]) -> None:
    """Write a file of comma-separated values."""
    texts = [line if isinstance(line, str) else ",".join(line) for line in lines]
    file.write_text("\n".join(texts) + "\n")


if __name__ == "__main__":
    main()
