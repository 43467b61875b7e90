"""A run drawn for people: header, steps as a tree, what it waits for, errors, and the commands that come next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from cli.commands.runs.inspection.answers import COMMAND, compact, wait_lines
from cli.render import second, status, text
from cli.terminal import line, lines
from cli.times import lasting
from cli.tree import Branch, branches

if TYPE_CHECKING:
    from rich.console import Console

    from cli.options import Target
    from openagents_json.engine.answers.steps import Overview, StepRow
    from openagents_json.engine.answers.waits import StepWait

TRACE_LINES: Final = 12
"""How many of the last lines of a traceback are shown."""

BUILDS: Final = 5
"""How many changes of builds are named."""

NAME_WIDTH: Final = 32
"""How wide the column of names is at most; a longer name moves what follows it to the right."""

Pair = tuple[str, Text]


def draw(terminal: Console, run: Overview, target: Target, *, whole: bool) -> None:
    """Draw a run."""
    terminal.print(_pairs(_header(run)))
    shown, hidden = branches(run.steps, whole=whole)
    if shown:
        terminal.print()
        _draw_tree(terminal, run, shown)
    if hidden:
        terminal.print(text(f"{hidden} more; --all shows them", "dim"))
    store = target.place()
    for wait in run.waits:
        terminal.print()
        _draw_wait(terminal, run, wait, store)
    _draw_builds(terminal, run)
    _draw_error(terminal, run)
    commands = list(_next_commands(run, target))
    if commands:
        terminal.print()
        terminal.print(text("next", "bold"))
        for purpose, command in commands:
            _draw_command(terminal, command, purpose)


# -- the header ----------------------------------------------------------------------------------------------


def _header(run: Overview) -> Iterator[Pair]:
    info = run.info
    yield "run", text(info.id, "bold")
    yield "workflow", text(f"{info.workflow} {run.workflow_version}".rstrip())
    yield "status", _standing(run)
    ago = lasting(max(0, run.now_ms - info.started_ms))
    yield "started", text(f"{second(info.started_ms)} UTC, {ago} ago")
    if run.ended_ms is not None:
        yield "took", text(lasting(run.ended_ms - info.started_ms))
    if info.reason:
        yield "because", text(info.reason)
    if info.parent:
        yield "parent", text(f"{info.parent.get('run')}, {info.parent.get('step')}")
    if info.usage:
        yield "used", text(_used(info.usage))
    if info.labels:
        labels = map("=".join, info.labels.items())
        yield "labels", text(", ".join(labels))
    if info.erased:
        yield "erased", text("what it worked with is no longer there")
    else:
        yield from _payloads(info.inputs, info.output, ended=info.status == "completed")


def _used(usage: Mapping[str, Any] | None) -> str:
    """Say what was used, in words that stand on a line; nothing where nothing was."""
    if not usage:
        return ""
    tokens_in = f"{usage['input_tokens']:,}"
    tokens_out = f"{usage['output_tokens']:,}"
    cost = usage["cost"]
    return f"{tokens_in} tokens in, {tokens_out} out, cost {cost}"


def _standing(run: Overview) -> Text:
    info = run.info
    marks = []
    if run.failed_step:
        marks.append(f"at step {run.failed_step}")
    if info.held:
        marks.append("held")
    if info.imported:
        marks.append("imported")
    standing = status(info.status)
    if marks:
        standing.append_text(text(f" {', '.join(marks)}"))
    return standing


def _payloads(inputs: Mapping[str, Any], output: Any, *, ended: bool) -> Iterator[Pair]:
    if inputs:
        yield "inputs", text(compact(inputs))
    if ended:
        yield "output", text(compact(output))


def _pairs(pairs: Iterable[Pair]) -> Table:
    """Return names and values under each other; a long value goes on below its beginning."""
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, value)
    return grid


# -- the steps -----------------------------------------------------------------------------------------------


def _draw_tree(
    terminal: Console, run: Overview, shown: Sequence[Branch[StepRow]]
) -> None:
    plain = terminal.options.ascii_only
    names = [line(branch.drawn(plain=plain)) for branch in shown]
    widest = min(max(map(cell_len, (*names, "step"))), NAME_WIDTH)
    head = f"{'step':<{widest}}  {'status':<11}  {'took':>8}  attempts"
    terminal.print(text(head, "bold"))
    for name, branch in zip(names, shown, strict=True):
        row = branch.row
        took = _took(row, run.now_ms, is_open=run.ended_ms is None)
        drawn = Text.assemble(
            name + " " * (widest - cell_len(name)),
            "  ",
            status(f"{row.status:<11}"),
            f"  {took:>8}  {row.attempts or '':>8}",
        )
        drawn.rstrip()
        _draw_with_note(terminal, drawn, text(_note(row), "dim"))


def _draw_with_note(terminal: Console, drawn: Text, note: Text) -> None:
    """Draw a step; what there is to say of it stands on a line of its own where the first has no room for it."""
    if note and drawn.cell_len + 2 + note.cell_len <= terminal.width:
        terminal.print(Text.assemble(drawn, "  ", note))
        return
    terminal.print(drawn)
    if note:
        below = Text.assemble("      ", note)
        below.truncate(terminal.width, overflow="ellipsis")
        terminal.print(below)


def _took(row: StepRow, now_ms: int, *, is_open: bool) -> str:
    if row.began_ms is None:
        return ""
    if row.ended_ms is not None:
        return lasting(row.ended_ms - row.began_ms)
    return f"{lasting(max(0, now_ms - row.began_ms))}+" if is_open else ""


def _note(row: StepRow) -> str:
    if row.counts is not None:
        return _counted(row)
    if row.error:
        return f"{row.error.get('type')}: {row.error.get('message')}"
    return row.reason or _used(row.usage)


def _counted(row: StepRow) -> str:
    parts = []
    for name, count in (row.counts or {}).items():
        if count:
            parts.append(f"{count} {name}")
    counts = ", ".join(parts) or "0"
    return f"{counts} of {row.total}" if row.total >= 0 else counts


# -- what it waits for, and why it failed ------------------------------------------------------------------------


def _draw_wait(terminal: Console, run: Overview, wait: StepWait, store: str) -> None:
    for sentence in wait_lines(run.info.id, wait, run.now_ms, store):
        is_command = sentence.startswith(COMMAND)
        terminal.print(text(sentence), soft_wrap=is_command)


def _draw_builds(terminal: Console, run: Overview) -> None:
    """Name the components whose code was replaced while the run was under way."""
    if run.builds:
        terminal.print()
    for change in run.builds[:BUILDS]:
        terminal.print(text(change.sentence()))


def _draw_error(terminal: Console, run: Overview) -> None:
    error = run.info.error
    if not error:
        return
    at = f" at step {run.failed_step}" if run.failed_step else ""
    terminal.print()
    terminal.print(text(f"error{at}", "bold"))
    terminal.print(text(f"{error.get('type')}: {error.get('message')}", "red"))
    trace = error.get("traceback")
    if trace:
        last = _trace_lines(trace)[-TRACE_LINES:]
        terminal.print(Text("\n".join(f"  {frame}" for frame in last), "dim"))


def _trace_lines(trace: Any) -> list[str]:
    parts = trace if isinstance(trace, list) else [trace]
    whole = "\n".join(map(str, parts))
    return lines(whole).splitlines()


# -- what to do next -------------------------------------------------------------------------------------------


def _next_commands(run: Overview, target: Target) -> Iterator[tuple[str, str]]:
    name, store = run.info.id, target.place()
    match run.info.status:
        case "failed":
            yield "why it failed", f"openagents runs explain {name}{store}"
            yield "go on from there", f"openagents runs retry {name}{store}"
        case "paused":
            yield "let it go on", f"openagents runs resume {name}{store}"
        case "completed" | "cancelled":
            yield "all that happened", f"openagents runs history {name}{store}"
        case _ if not run.has_worker and not all(wait.signals for wait in run.waits):
            yield "nobody works here", target.worker()
        case _:
            yield "follow it", f"openagents runs watch {name}{store}"


def _draw_command(terminal: Console, command: str, purpose: str = "") -> None:
    """Draw a command on a line of its own, never cut or folded by us: people copy it."""
    if purpose:
        terminal.print(text(f"  {purpose}:", "dim"))
    terminal.print(text(f"    {command}"), soft_wrap=True)
