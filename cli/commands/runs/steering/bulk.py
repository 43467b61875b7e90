"""Many runs in one command: named, or chosen with --where; a question first, progress, and what each one refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli.commands.outcomes import GoingOn
from cli.commands.runs.steering.ends import wait_for_ends
from cli.commands.runs.steering.where import RUNS, chosen_by, with_full_ids
from cli.failing.interrupts import FORCE, notice_at_interrupt
from cli.inputs.questions import is_confirmed, refuse_if_nobody_can_answer
from cli.options import Target
from cli.render import print_json
from cli.terminal import note, say
from openagents_json.errors import OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.engine import Engine
    from openagents_json.engine.steering.bulk import BulkResult, Tell

Command = TypeVar("Command", bound=Callable[..., Any])
Act = Callable[["Engine", Sequence[str], "Tell"], "BulkResult"]
"""Does something to runs, and tells of each when it is done."""

DONE: Final = {
    "cancel": "cancelled",
    "retry": "retried",
    "pause": "paused",
    "resume": "resumed",
    "delete": "deleted",
}
"""What has become of runs with which that was done."""

DESTROYS_ONE: Final = frozenset({"delete"})
"""What somebody is asked about before it is done to a run that is named."""

DESTROYS: Final = frozenset({"cancel", "delete"})
"""What somebody is asked about before it is done to many runs."""

GO_ON: Final = "the same command again goes on with the rest"

_WHICH: Final = "name runs, or choose them with --where NAME=VALUE"

_QUIET_BELOW: Final = 20
"""From how many runs on progress is told."""

_OPTIONS = [
    click.option(
        "--where",
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Choose runs: {RUNS}. Several narrow; of one name, they widen.",
    ),
    click.option(
        "--limit",
        type=click.IntRange(1),
        help="How many runs at most.  [default: all]",
    ),
    click.option("--dry-run", is_flag=True, help="Only say which runs it would be."),
]


def bulk_options(command: Command) -> Command:
    """Add the options by which many runs are chosen; the command gives them to a `BulkRequest`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class BulkRequest:
    """What somebody wants done to which runs; `asks` says that it is a matter to be asked about."""

    action: str
    target: Target
    runs: tuple[str, ...]
    where: tuple[str, ...]
    limit: int | None
    dry_run: bool
    yes: bool
    asks: bool

    @classmethod
    def taken(
        cls, action: str, target: Target, runs: tuple[str, ...], options: dict[str, Any]
    ) -> BulkRequest:
        """Take what belongs to it from the options of a command.

        Raises click.UsageError, also where somebody would have to be asked and nobody can be.
        """
        names = ("where", "limit", "dry_run")
        given = {name: options.pop(name) for name in names}
        one_is_named = len(runs) == 1
        asks = action in (DESTROYS_ONE if one_is_named else DESTROYS)
        request = cls(
            action, target, runs, yes=options.pop("yes", False), asks=asks, **given
        )
        request.check()
        return request

    def check(self) -> None:
        """Refuse what is not clear.

        Raises click.UsageError.
        """
        is_named = bool(self.runs)
        is_chosen = bool(self.where)
        if is_named == is_chosen:
            both = "; not both" * is_named
            raise click.UsageError(f"{_WHICH}{both}")
        if self.where:
            chosen_by(self.where, 0, names=RUNS)
        if self.must_ask:
            refuse_if_nobody_can_answer(
                f"{self.action} runs",
                "say --yes, or --dry-run to see which it would be",
            )

    @property
    def must_ask(self) -> bool:
        """Tell whether somebody has to be asked, as nobody has answered beforehand."""
        return self.asks and not (self.yes or self.dry_run)

    @property
    def is_one(self) -> bool:
        """Tell whether this is about one run that is named, and nobody has to be asked."""
        return len(self.runs) == 1 and not (self.dry_run or self.asks)

    def carry_out(self, then: GoingOn, act: Act) -> int:
        """Choose, ask, do it and tell; gives the exit code."""
        with then.engine() as engine:
            runs = self._chosen(engine)
            if self.dry_run:
                self._say_what_would_be(runs)
                return 0
            ids = [str(run["id"]) for run in runs]
            if ids and not self._is_wanted(ids):
                return 1
            progress = _Progress(self.action, len(ids), self.target.as_json)
            with notice_at_interrupt(progress.notice):
                result = self._done(engine, ids, act, progress)
                self._say_what_was_done(result)
            code = self._what_follows(engine, then, result)
        return code if result.ok else 1

    def _what_follows(self, engine: Engine, then: GoingOn, result: BulkResult) -> int:
        """Say it when nobody works on the runs, and wait for their ends if that is wanted; gives the exit code."""
        if not result.done or self.action == "delete":
            return 0
        if then.wait:
            return wait_for_ends(engine, then, result.done)
        first = result.done[0]
        then.tell_if_nobody_works(engine, first, engine.status(first))
        return 0

    def _done(
        self, engine: Engine, ids: Sequence[str], act: Act, progress: _Progress
    ) -> BulkResult:
        """Do it; when the store goes away meanwhile, how far it came is said before that."""
        try:
            return act(engine, ids, progress.tell)
        except OpenAgentsError:
            say(f"openagents: {progress.standing()}; {GO_ON}", err=True)
            raise

    def _chosen(self, engine: Engine) -> list[dict[str, Any]]:
        named = list(dict.fromkeys(self.runs))[: self.limit]
        if named and self.dry_run:
            return [_shown(engine.state(run)) for run in named]
        if named:
            if self.must_ask:
                # Nobody is asked about a run that there is not.
                for run in named:
                    engine.status(run)
            return [{"id": run} for run in named]
        now_ms = int(datetime.now(UTC).timestamp() * 1000)  # noqa: TID251 - the edge
        given = chosen_by(self.where, now_ms, names=RUNS)
        chosen = with_full_ids(given, engine.views)
        rows = engine.bulk.choose(self.action, chosen, limit=self.limit)
        return [_shown(row) for row in rows]

    def _is_wanted(self, ids: Sequence[str]) -> bool:
        if not self.must_ask:
            return True
        what = f"run {ids[0]}" if len(ids) == 1 else f"{len(ids)} runs"
        how = " for good" if self.action == "delete" else ""
        return is_confirmed(f"{self.action} {what}{how}?")

    def _say_what_would_be(self, runs: Sequence[dict[str, Any]]) -> None:
        if self.target.as_json:
            print_json({"action": self.action, "dry_run": True, "runs": runs})
            return
        for run in runs:
            say(f"{run['id']} {run['workflow']} {run['status']}")
        note(f"{_count(len(runs))} would be {DONE[self.action]}")

    def _say_what_was_done(self, result: BulkResult) -> None:
        if self.target.as_json:
            failed = {
                run: {"code": error.code, "message": str(error)}
                for run, error in result.failed.items()
            }
            print_json({"action": self.action, "done": result.done, "failed": failed})
            return
        sentence = f"{_count(len(result.done))} {DONE[self.action]}"
        if result.failed:
            sentence += f", {len(result.failed)} not"
        say(sentence)


@dataclass(slots=True)
class _Progress:
    """Tells how far it is, and of each run that refuses, on stderr; with --json, all is told at the end."""

    action: str
    total: int
    is_silent: bool
    count: int = 0
    refused: int = 0

    def tell(self, run: str, error: OpenAgentsError | None) -> None:
        """Take in that a run is done."""
        self.count += 1
        self.refused += error is not None
        if self.is_silent:
            return
        if error is not None:
            say(f"{run}: {error}", err=True)
        every = max(1, self.total // 10)
        if self.total >= _QUIET_BELOW and self.count % every == 0:
            note(f"{self.action}: {self.count} of {self.total}")

    def standing(self) -> str:
        """Say how many are done by now."""
        return f"{self.count - self.refused} of {_count(self.total)} {DONE[self.action]} so far"

    def notice(self) -> Sequence[str]:
        """Return what Ctrl-C means."""
        return [f"stopping: {self.standing()}, and stays so; {FORCE}", GO_ON]


def _shown(run: Any) -> dict[str, Any]:
    return {name: getattr(run, name) for name in ("id", "workflow", "status")}


def _count(number: int) -> str:
    if number == 1:
        return f"{number} run"
    return f"{number} runs"
