"""The progress of one run: a line for each event, items of a large foreach folded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.live.items import ItemFolding, LookUp
from cli.live.meters import meter_on
from cli.render import console, status, text
from openagents_json.engine.inspection.live_words import ENDS_RUN

if TYPE_CHECKING:
    from rich.text import Text

    from openagents_json.engine import HistoryEvent


class ProgressPrinter:
    """Prints the progress of one run; `look_up` gives the items of a foreach of it that began before."""

    def __init__(
        self,
        *,
        error: bool = False,
        look_up: LookUp = lambda _: None,
    ) -> None:
        self._console = console(error=error)
        self._folding = ItemFolding(look_up)
        self._meter = meter_on(self._console)

    def __call__(self, event: HistoryEvent) -> None:
        """Show an event."""
        group = self._folding.take(event)
        if group is None or group.wants_line(event):
            self._console.print(progress(event))
        if group is not None and not group.is_over:
            self._meter.show(group)
        over = self._folding.ended_by(event)
        if over is not None:
            self._meter.end(over)
        if event.type in ENDS_RUN:
            self.close()

    def close(self) -> None:
        """Leave nothing on the terminal that is not a line."""
        self._meter.close()


def progress(event: HistoryEvent) -> Text:
    """Return one line of progress."""
    from rich.text import Text

    step = f" {event.step}" if event.step else ""
    is_repeated = event.attempt is not None and event.attempt > 1
    attempt = f" (attempt {event.attempt})" if is_repeated else ""
    error = event.data.get("error")
    if event.type in ENDS_RUN and event.step:
        return _end_at(event)
    why = f": {error['type']}: {error['message']}" if isinstance(error, dict) else ""
    name = event.type.removeprefix("Step").removeprefix("Run").lower()
    kind = "run" if event.type.startswith("Run") else "step"
    return Text.assemble(
        (f"{event.version:>4}", "dim"),
        text(f" {kind}{step} "),
        status(name),
        text(f"{attempt}{why}"),
    )


def _end_at(event: HistoryEvent) -> Text:
    """Return the line of a run that ends with a step of it, whose own line has just said why."""
    from rich.text import Text

    word = event.type.removeprefix("Run").lower()
    return Text.assemble(
        (f"{event.version:>4}", "dim"),
        text(" run "),
        status(word),
        text(f" at step {event.step}"),
    )
