"""Items of a foreach folded into one group: at the top, in loops, and in runs that go on from a failure."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from cli.live.items import ItemFolding, ItemGroup
from cli.live.log_lines import LogLines
from cli.live.meters import BarMeter, LineMeter
from openagents_json.engine import HistoryEvent, RunNotFound
from openagents_json.engine.inspection.foreach_items import ForeachItems

COUNT = 20


def event(kind: str, step: str | None, /, **data: Any) -> HistoryEvent:
    return HistoryEvent(1, 0, kind, step, 1, "w", "w", "", "c", data)


def scheduled(path: str, count: int) -> HistoryEvent:
    inputs = {"items": list(range(count))}
    return event("StepScheduled", path, kind="foreach", inputs=inputs)


def completed(path: str) -> HistoryEvent:
    return event("StepCompleted", path)


def only_group(folding: ItemFolding, last: HistoryEvent) -> ItemGroup:
    group = folding.take(last)
    assert group is not None
    return group


def test_a_foreach_in_a_loop_is_a_group_in_each_iteration() -> None:
    folding = ItemFolding()
    for iteration in range(2):
        path = f"loop[{iteration}].each"
        assert folding.take(event("StepScheduled", f"loop[{iteration}]")) is None
        assert folding.take(scheduled(path, COUNT)) is None
        group = only_group(folding, completed(f"{path}[0]"))
        assert (group.path, group.done, group.total) == (path, 1, COUNT)
        assert folding.take(completed(path)) is None, "it has a line of its own"
        assert folding.ended_by(completed(path)) is group
        assert folding.ended_by(completed(f"{path}[0]")) is None


@pytest.mark.parametrize("path", ["each", "loop[3].each", "outer[1].each"])
def test_a_foreach_that_began_before_goes_on_with_what_has_ended(path: str) -> None:
    ends = {f"{path}[{index}]": "completed" for index in range(COUNT - 2)}
    ends[f"{path}[{COUNT - 2}]"] = "failed"
    by_path = {path: ForeachItems(COUNT, ends)}
    folding = ItemFolding(by_path.get)
    group = only_group(folding, event("StepStarted", f"{path}[{COUNT - 1}]"))
    assert (group.done, group.failed) == (COUNT - 1, 1)
    # What had failed is done again, and is reused, overridden or completed.
    folding.take(event("StepScheduled", f"{path}[{COUNT - 2}]"))
    assert (group.done, group.failed) == (COUNT - 2, 0)
    folding.take(event("StepResultReused", f"{path}[{COUNT - 2}]"))
    folding.take(event("StepOverridden", f"{path}[{COUNT - 1}]"))
    assert (group.done, group.failed) == (COUNT, 0)


def test_a_run_that_is_opened_again_is_counted_by_what_it_keeps() -> None:
    by_path: dict[str, ForeachItems] = {}
    folding = ItemFolding(by_path.get)
    folding.take(scheduled("each", COUNT))
    for index in range(COUNT):
        group = only_group(folding, event("StepFailed", f"each[{index}]"))
    assert group.failed == COUNT
    by_path["each"] = ForeachItems(COUNT, {"each[0]": "completed"})
    assert folding.take(event("RunReopened", None, forgotten=["each[1]"])) is None
    again = only_group(folding, completed("each[1]"))
    assert (again.done, again.failed) == (2, 0)


def test_an_attempt_that_is_tried_again_is_no_end() -> None:
    folding = ItemFolding()
    folding.take(scheduled("each", COUNT))
    for kind in ("StepFailed", "StepTimedOut"):
        group = only_group(folding, event(kind, "each[0]", retry_ms=10))
        assert group.done == 0
    assert only_group(folding, event("StepTimedOut", "each[0]")).failed == 1


def test_what_is_not_known_of_a_run_has_lines_of_its_own() -> None:
    def gone(_: str) -> ForeachItems:
        raise RunNotFound("0-x")

    assert ItemFolding(gone).take(completed("each[3]")) is None


def drawn(width: int, path: str) -> str:
    page = io.StringIO()
    terminal = Console(
        file=page,
        width=width,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
    )
    meter = BarMeter(terminal)
    group = ItemGroup(path, 10_000)
    group.ends |= {f"{path}[{index}]": "failed" for index in range(9_999)}
    meter.show(group)
    meter.end(group)
    other = ItemGroup("loop[1].each", COUNT, {"x": "completed"})
    meter.show(other)
    meter.close()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", page.getvalue())


@pytest.mark.parametrize("width", [80, 120])
def test_a_bar_fits_and_goes_away_with_its_foreach(width: int) -> None:
    text = drawn(width, "a_loop_with_a_long_name[12].and_a_longer_foreach")
    lines = [line for line in re.split(r"[\r\n]+", text) if "items" in line]
    assert any("9999 of 10000 items, 9999 failed" in line for line in lines), text
    assert all(len(line.rstrip()) <= width for line in lines), text
    assert any("…" in line for line in lines) == (width == 80)
    assert f"1 of {COUNT} items" in lines[-1]
    assert "10000" not in lines[-1]


def test_in_a_pipe_a_foreach_in_a_loop_has_one_line() -> None:
    page = io.StringIO()
    meter = LineMeter(Console(file=page, width=80))
    for path in ("each", "loop[0].each"):
        group = ItemGroup(path, COUNT)
        for index in range(COUNT):
            group.take(completed(f"{path}[{index}]"))
            meter.show(group)
    lines = page.getvalue().splitlines()
    assert len([line for line in lines if "step each:" in line]) == 10
    assert lines[-1].strip() == f"step loop[0].each: {COUNT} of {COUNT} items"
    assert len(lines) == 11


def test_lines_of_a_store_count_a_foreach_in_a_loop_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_name: Mapping[tuple[str, str], ForeachItems] = {
        ("5-run", "loop[0].each"): ForeachItems(COUNT)
    }
    lines = LogLines(lambda run, path: by_name.get((run, path)))
    for index in range(COUNT):
        lines.show("5-run", completed(f"loop[0].each[{index}]"))
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(f"loop[0].each: {COUNT} of {COUNT} items")
