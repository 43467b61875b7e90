"""What is printed as JSON, whatever is in it."""

from __future__ import annotations

import contextlib
import io
import json
import re

import pytest
from rich.console import Console

from cli.histories import history_table, print_history
from cli.live.progress import progress
from cli.render import console, print_json, print_line, table
from openagents_json.engine import HistoryEvent

HOSTILE = "cannot read [/etc/x] [red]or[/] [1, 2] \\d\x1b[2J\n"
SHOWN = "cannot read [/etc/x] [red]or[/] [1, 2] \\d\\x1b[2J\\n"


def test_halves_of_characters_are_printed_so_that_they_come_back(
    capfd: pytest.CaptureFixture[str],
) -> None:
    value = {"text": "\ud800 and é"}
    for show in (print_json, print_line):
        show(value)
        assert json.loads(capfd.readouterr().out) == value


def failed(message: str) -> HistoryEvent:
    data = {"error": {"type": "OSError", "message": message}}
    return HistoryEvent(1, 0, "StepFailed", "a", 1, "w", "w", "", "c", data)


def test_what_components_say_is_shown_as_it_is_and_is_no_markup(
    capfd: pytest.CaptureFixture[str],
) -> None:
    console().print(table(["why"], [[HOSTILE]]))
    assert SHOWN in capfd.readouterr().out
    console().print(progress(failed(HOSTILE)))
    assert capfd.readouterr().out == f"   1 step a failed: OSError: {SHOWN}\n"
    console().print(history_table([failed("[/b]\x1b")]))
    assert "[/b]\\u001b" in capfd.readouterr().out


def noted(version: int, step: str) -> HistoryEvent:
    return HistoryEvent(
        version,
        0,
        "StepScheduled",
        step,
        None,
        None,
        "cli:somebody",
        "",
        "c",
        {"step": step},
    )


class Screen(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def test_columns_of_a_terminal_stand_where_they_stood_on_the_page_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.redirect_stdout(Screen()) as screen:
        print_history([[], [noted(8, "a")], [], [noted(9, "b" * 100), noted(10, "c")]])
    header, *rows = screen.getvalue().splitlines()
    assert (header.split()[0], [row.split()[0] for row in rows]) == (
        "#",
        ["8", "9", "10"],
    )
    assert {row.index("cli:somebody") for row in rows} == {header.index("by")}
    assert "bbb…" in rows[1]


@pytest.mark.parametrize("columns", [80, 120])
def test_what_an_event_says_can_be_read_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    with contextlib.redirect_stdout(Screen()) as screen:
        print_history([[failed("the line is busy")]])
    rows = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(map(len, rows)) <= columns
    [row] = [row for row in rows if "OSError: the line is busy" in row]
    assert row.startswith("  {") == (columns == 80)


def test_a_row_for_another_program_is_one_line_of_any_length(
    capfd: pytest.CaptureFixture[str],
) -> None:
    console().print(table(["run", "error"], [["r" * 30, "word " * 100]]))
    assert f"{'r' * 30}  {'word ' * 100}".rstrip() in [
        line.rstrip() for line in capfd.readouterr().out.splitlines()
    ]


def test_an_id_is_whole_on_a_narrow_terminal() -> None:
    narrow = Console(width=60, record=True, force_terminal=True)
    with narrow.capture() as shown:
        narrow.print(table(["run", "error"], [["r" * 30, "word " * 100]]))
    assert "r" * 30 in shown.get()
