"""What happens to all runs of a store, as lines for people: short ids, what it is, how long it took."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cli.live.items import ItemFolding, ItemGroup
from cli.live.meters import count_of
from cli.render import console, status, text
from cli.run_ids import short_ids
from cli.times import lasting
from openagents_json.engine.inspection.live_words import (
    BEGINS,
    ENDS_RUN,
    KIND_WORDS,
    RUN_STARTED,
    RUN_WORDS,
    SCHEDULED,
    STEP_WORDS,
    TAKES_TIME,
)

if TYPE_CHECKING:
    from rich.text import Text

    from openagents_json.engine import HistoryEvent
    from openagents_json.engine.inspection.foreach_items import ForeachItems

QUARTERS: Final = 4
"""How many lines there are for the items of a foreach: many runs may be under way."""

REMEMBERED: Final = 10_000
"""Of so many runs and steps it is known when they began; a run may wait for years, and `dev` may run as long."""


class Beginnings:
    """When runs and steps began, those that began last; in ms."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], int] = {}

    def note(self, run: str, step: str, time_ms: int) -> None:
        """Remember when something began."""
        self._times[run, step] = time_ms
        while len(self._times) > REMEMBERED:
            del self._times[next(iter(self._times))]

    def took(self, run: str, step: str, time_ms: int) -> str:
        """Say how long something took, and forget it; empty where nobody knows."""
        began = self._times.pop((run, step), None)
        if began is None:
            return ""
        return f" in {lasting(max(0, time_ms - began))}"


class LogLines:
    """Prints a line for what happens to runs; `look_up` gives the items of a foreach of a run that began before."""

    def __init__(self, look_up: Callable[[str, str], ForeachItems | None]) -> None:
        self._console = console(error=True)
        self._look_up = look_up
        self._beginnings = Beginnings()
        self._workflows: dict[str, str] = {}
        self._foldings: dict[str, ItemFolding] = {}
        self._quarters: dict[tuple[str, str], int] = {}

    def show(self, run: str, event: HistoryEvent) -> None:
        """Print the line of an event, if it has one."""
        sentence = self._sentence(run, event)
        if sentence is not None:
            self._write(run, event.time_ms, sentence)

    def _write(self, run: str, time_ms: int, sentence: Text) -> None:
        from rich.text import Text

        clock = datetime.fromtimestamp(time_ms / 1000).strftime("%H:%M:%S")
        short = short_ids([run])[run]
        self._console.print(Text.assemble((f"{clock} {short} ", "dim"), sentence))

    def _sentence(self, run: str, event: HistoryEvent) -> Text | None:
        if event.type in RUN_WORDS:
            return self._of_run(run, event)
        if event.step is None:
            return None
        if run not in self._foldings:
            self._foldings[run] = ItemFolding(partial(self._look_up, run))
        group = self._foldings[run].take(event)
        self._foldings[run].ended_by(event)
        if group is not None and not group.wants_line(event):
            return self._of_group(run, group)
        return self._of_step(run, event, event.step)

    def _of_run(self, run: str, event: HistoryEvent) -> Text:
        word = RUN_WORDS[event.type]
        if event.type == RUN_STARTED:
            self._workflows[run] = str(event.data.get("workflow"))
            self._beginnings.note(run, "", event.time_ms)
        name = self._workflows.get(run, "run")
        took = ""
        if event.type in ENDS_RUN:
            took = self._beginnings.took(run, "", event.time_ms)
            self._forget(run)
        return _sentence_of(name, word, took + _where(event))

    def _forget(self, run: str) -> None:
        self._workflows.pop(run, None)
        self._foldings.pop(run, None)
        for key in [key for key in self._quarters if key[0] == run]:
            del self._quarters[key]

    def _of_step(self, run: str, event: HistoryEvent, step: str) -> Text | None:
        word = STEP_WORDS.get(event.type)
        if event.type == SCHEDULED:
            word = KIND_WORDS.get(str(event.data.get("kind")))
        if word is None:
            return None
        if event.type in BEGINS:
            self._beginnings.note(run, step, event.time_ms)
        rest = _attempt(event) + _answer(run, event.data)
        if event.type in TAKES_TIME:
            rest += self._beginnings.took(run, step, event.time_ms)
        rest += _again(event.data) + _why(event.data)
        return _sentence_of(f"  {step}", word, rest)

    def _of_group(self, run: str, group: ItemGroup) -> Text | None:
        quarter = group.done * group.lines(QUARTERS) // group.total
        if quarter <= self._quarters.get((run, group.path), 0):
            return None
        self._quarters[run, group.path] = quarter
        return text(f"  {group.path}: {count_of(group)}")


def _sentence_of(name: str, word: str, rest: str) -> Text:
    from rich.text import Text

    return Text.assemble(text(f"{name} "), status(word), text(rest))


def _where(event: HistoryEvent) -> str:
    """Say at which step a run ended, whose own line has just said why; of other ends, say that."""
    return f" at step {event.step}" if event.step else _why(event.data)


def _attempt(event: HistoryEvent) -> str:
    attempt = event.attempt or 1
    if attempt > 1:
        return f" (attempt {attempt})"
    return ""


def _answer(run: str, data: Mapping[str, Any]) -> str:
    """Say which signals a step waits for, and the command that sends the first."""
    if data.get("kind") != "wait":
        return ""
    signals = (data.get("inputs") or {}).get("signals") or [{}]
    names = [str(signal.get("name")) for signal in signals]
    key = signals[0].get("key")
    words = ["openagents", "runs", "signal", short_ids([run])[run], names[0]]
    command = shlex.join([*words, *([] if key is None else ["--key", str(key)])])
    return f" {' or '.join(names)}: {command}"


def _again(data: Mapping[str, Any]) -> str:
    """Say when a step is tried again."""
    retry_ms = data.get("retry_ms")
    if retry_ms is None:
        return ""
    return f", again in {lasting(retry_ms)}"


def _why(data: Mapping[str, Any]) -> str:
    error = data.get("error")
    if isinstance(error, Mapping):
        return f": {error.get('type')}: {error.get('message')}"
    reason = data.get("reason")
    if reason:
        return f": {reason}"
    return ""
