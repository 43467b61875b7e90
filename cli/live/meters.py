"""How far the items of a foreach are: a bar where a terminal can draw one, sparse lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from cli.live.items import ItemGroup
from cli.render import text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

LINES: Final = 10
"""How many lines there are for a foreach, however many items it has."""

DRAWINGS: Final = 200
"""How often a bar is drawn anew, however many items there are: it has no more places than that."""


WIDE_TERMINAL: Final = 100
WIDE_BAR: Final = 24
NARROW_BAR: Final = 12
BESIDE: Final = 45
"""How many places of a line the words and numbers beside the bar and the name take."""


class Meter(Protocol):
    """Shows how far items are."""

    def show(self, group: ItemGroup) -> None:
        """Show how far the items of a group are."""
        ...

    def end(self, group: ItemGroup) -> None:
        """Show no more of a group: its foreach has ended."""
        ...

    def close(self) -> None:
        """Take away what is not to stay."""
        ...


def meter_on(console: Console) -> Meter:
    """Return what a terminal can show."""
    if console.is_terminal and not console.is_dumb_terminal:
        return BarMeter(console)
    return LineMeter(console)


def count_of(group: ItemGroup) -> str:
    """Say how far items are."""
    failed = f", {group.failed} failed" if group.failed else ""
    return f"{group.done} of {group.total} items{failed}"


class LineMeter:
    """Prints a line each time that a tenth of the items is done."""

    def __init__(self, console: Console, indent: str = "     step ") -> None:
        self._console = console
        self._indent = indent
        self._tenths: dict[str, int] = {}

    def show(self, group: ItemGroup) -> None:
        """Print a line if another tenth is done; a foreach in a loop, of which there may be many, has one line."""
        tenth = group.done * group.lines(LINES) // max(1, group.total)
        if tenth > self._tenths.get(group.path, 0):
            self._tenths[group.path] = tenth
            line = f"{self._indent}{group.path}: {count_of(group)}"
            self._console.print(text(line))

    def end(self, group: ItemGroup) -> None:
        """Leave the lines as they are."""

    def close(self) -> None:
        """Leave the lines as they are."""


class BarMeter:
    """Draws a bar for each foreach below the lines, which goes away with it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._drawn: dict[str, int] = {}

    def show(self, group: ItemGroup) -> None:
        """Draw a bar anew where enough has changed to be seen."""
        drawn_at = group.done * DRAWINGS // max(1, group.total)
        if self._drawn.get(group.path) == drawn_at:
            return
        self._drawn[group.path] = drawn_at
        progress = self._progress or self._begin()
        if group.path not in self._bars:
            name = self._short(text(group.path).plain)
            self._bars[group.path] = progress.add_task(name, count="")
        progress.update(
            self._bars[group.path],
            completed=group.done,
            total=group.total,
            count=count_of(group),
        )
        progress.refresh()

    def end(self, group: ItemGroup) -> None:
        """Take the bar of a group away: the next iteration of a loop has another."""
        bar = self._bars.pop(group.path, None)
        if bar is not None and self._progress is not None:
            self._progress.remove_task(bar)
            self._progress.refresh()

    @property
    def _bar_width(self) -> int:
        if self._console.width >= WIDE_TERMINAL:
            return WIDE_BAR
        return NARROW_BAR

    def _short(self, name: str) -> str:
        """Return the end of a name that leaves room for the bar and the count beside it."""
        room = max(8, self._console.width - self._bar_width - BESIDE)
        if len(name) <= room:
            return name
        return f"…{name[1 - room :]}"

    def _begin(self) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("     step {task.description}", markup=False),
            BarColumn(bar_width=self._bar_width),
            TextColumn("{task.fields[count]}", markup=False),
            console=self._console,
            # Drawn by this thread alone: nothing is left behind when the command is interrupted.
            auto_refresh=False,
            transient=True,
        )
        self._progress.start()
        return self._progress

    def close(self) -> None:
        """Take the bars away."""
        progress = self._progress
        self._progress = None
        self._bars, self._drawn = {}, {}
        if progress is not None:
            progress.stop()
