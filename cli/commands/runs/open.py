"""A run from a file, step by step, on this machine and nowhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from cli.options import Target, target_options
from cli.render import details, print_json, when, who
from cli.terminal import give, say
from openagents_json.engine import CLOSED_RUN, plain
from openagents_json.errors import InvalidArgument, OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.engine import Engine, RunInfo, RunKey
    from openagents_json.engine.archive.capsules import Capsule
    from openagents_json.engine.archive.stepping import Steps

HELP = "n next, b back, g N go to, s state, d difference, e events, retry [STEP], fork [N], q quit"
_LONGEST_NUMBER = 20


@click.command("open")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--at",
    type=click.IntRange(1),
    metavar="VERSION",
    help="Begin at this event; with --json, print the run then.",
)
@click.option(
    "--go-on",
    is_flag=True,
    help="Let a run that is open go on here, with the components of -c.",
)
@target_options
def open_run(target: Target, file: Path, at: int | None, go_on: bool) -> None:
    """Step through a run from a file, retry it, fork it. Its origin never hears of it. Components are those of -c.

    It is kept in a store of its own, in .openagents-open/RUN or --data.

    \b
    Example: openagents runs open run.oac -c components.py
    """
    from openagents_json.engine.archive.capsules import unpack
    from openagents_json.engine.archive.stepping import Steps

    capsule = unpack(file)
    local = _local(target, capsule.run)
    steps = Steps(capsule, lambda run: _key(local, run))
    here = at or len(steps)
    steps.event(here)
    if target.as_json:
        print_json(steps.shown(here))
        return
    with local.engine(create=True) as engine:
        kept = _keep(engine, capsule, steps, go_on)
        session = _Session(local, steps, here, kept)
        if go_on:
            session.work(capsule.run, "the run", _resumed)
        session.show()
        for line in _lines():
            if not session.obey(line):
                return


def _local(target: Target, run: str) -> Target:
    """Return the store on this machine, whatever the environment says about others."""
    context = click.get_current_context()
    if context.get_parameter_source("url") is ParameterSource.COMMANDLINE:
        raise click.UsageError(
            "a run is opened in a store of its own, so --url has no place here; see `runs import`"
        )
    data = str(Path(".openagents-open") / run)
    if context.get_parameter_source("data") is ParameterSource.COMMANDLINE:
        data = target.settings.data
    settings = target.settings.model_copy(update={"url": "", "data": data})
    return replace(target, settings=settings)


def _key(local: Target, run: str) -> RunKey:
    """Return the key of an encrypted run, which somebody has put into the local store.

    Raises EncryptionError, and click.ClickException when nobody has.
    """
    with local.engine(create=True) as engine:
        key = engine.keys.of(run)
    if key is None:
        keep = f"`openagents keys adopt {run} --data {local.settings.data} < FILE` keeps it here"
        raise click.ClickException(
            f"run {run} is encrypted: `openagents keys show {run}` gives its key there, {keep}"
        )
    return key


def _keep(engine: Engine, capsule: Capsule, steps: Steps, go_on: bool) -> int:
    """Bring the run into the local store without letting it run, and give how much of it; 0 when that cannot be."""
    from openagents_json.engine import Rejected

    upto = len(steps) if go_on else steps.resting()
    if not upto:
        return 0
    part = replace(capsule, events=capsule.events[:upto])
    try:
        engine.files.adopt(part, reason="opened from a file", paused=not go_on)
    except Rejected as error:
        say(f"it can be looked at, but not retried or forked: {error}")
        return 0
    return upto


def _lines() -> Iterator[str]:
    asking = sys.stdin.isatty()
    while True:
        if asking:
            give(f"({HELP})\n> ", nl=False)
        line = sys.stdin.readline()
        if not line:
            return
        yield line.strip()


def _resumed(engine: Engine, run: str) -> str:
    if engine.state(run).status == "paused":
        engine.resume(run)
    return run


@dataclass(slots=True)
class _Session:
    """Where somebody is in a run; `kept` is how much of it is in the local store."""

    target: Target
    steps: Steps
    here: int
    kept: int

    def obey(self, line: str) -> bool:
        """Do what a line says; False at the end."""
        name, _, rest = line.partition(" ")
        if name in ("q", "quit", "exit"):
            return False
        act = self._commands().get(name)
        if act is None:
            say(HELP)
            return True
        try:
            act(rest.strip())
        except OpenAgentsError as error:
            say(f"openagents: {error}")
        return True

    def _commands(self) -> Mapping[str, Callable[[str], None]]:
        whole_words: dict[str, Callable[[str], None]] = {
            "retry": self._retry,
            "fork": self._fork,
        }
        with_initials: dict[str, Callable[[str], None]] = {
            "next": self._next,
            "back": self._back,
            "go": self._go,
            "state": self._state,
            "diff": self._diff,
            "events": self._events,
        }
        initials = {name[0]: act for name, act in with_initials.items()}
        return {"": self._next, **whole_words, **with_initials, **initials}

    # -- looking ------------------------------------------------------------------------------------------

    def show(self) -> None:
        """Print the event that it stands at."""
        say(self._line(self.here))

    def _line(self, version: int) -> str:
        event = self.steps.event(version)
        step = f" {event.step}" if event.step else ""
        attempt = f" attempt {event.attempt}" if event.attempt else ""
        more = details(event)
        number = f"{version}/{len(self.steps)}"
        line = f"{number} {when(event.time_ms)} {event.type}{step}{attempt} by {who(event)}"
        if more:
            return f"{line} {more}"
        return line

    def _move(self, to: int) -> None:
        self.steps.event(to)
        self.here = to
        self.show()

    def _next(self, _: str) -> None:
        if self.here == len(self.steps):
            say("this is the last event")
        else:
            self._move(self.here + 1)

    def _back(self, _: str) -> None:
        if self.here == 1:
            say("this is the first event")
        else:
            self._move(self.here - 1)

    def _go(self, rest: str) -> None:
        self._move(_number(rest))

    def _state(self, _: str) -> None:
        print_json(self.steps.shown(self.here))

    def _diff(self, _: str) -> None:
        from openagents_json.engine import changes_of

        before = plain(self.steps.shown(self.here - 1)) if self.here > 1 else {}
        after = plain(self.steps.shown(self.here))
        for change in changes_of(_by_step(before), _by_step(after)):
            was = "nothing" if change.missing == "one" else json.dumps(change.one)
            now = "nothing" if change.missing == "other" else json.dumps(change.other)
            say(f"{change.path}: {was} -> {now}")

    def _events(self, _: str) -> None:
        for version in range(1, len(self.steps) + 1):
            mark = ">" if version == self.here else " "
            say(f"{mark} {self._line(version)}")

    # -- doing --------------------------------------------------------------------------------------------

    def _retry(self, rest: str) -> None:
        def begin(engine: Engine, run: str) -> str:
            engine.retry(run, step=rest, reason="retried from a file")
            return run

        self.work(self.steps.run, "the run", begin)

    def _fork(self, rest: str) -> None:
        at = _number(rest) if rest else self.here
        if self.kept < at:
            raise InvalidArgument(
                f"the local store has this run up to event {self.kept}",
                remedy="fork it at one of those",
            )
        self.work(
            self.steps.run,
            "the fork",
            lambda engine, run: engine.replay.fork(run, at, reason="from a file"),
        )

    def work(self, run: str, what: str, begin: Callable[[Engine, str], str]) -> None:
        """Begin something with local components, and say how it ended."""
        if not self.kept:
            raise InvalidArgument(
                "this run is not in the local store, so it can only be looked at"
            )
        with self.target.engine(workers=2, alone=True, create=True) as engine:
            lacking = sorted(self.steps.components() - set(engine.registry.names()))
            if lacking:
                raise InvalidArgument(
                    f"there is no component {', '.join(lacking)} here",
                    remedy="give their module with -c",
                )
            new = begin(engine, run)
            info = engine.state(new)
            while info.status not in CLOSED_RUN:
                if engine.waits_for_signal(new):
                    data = self.target.settings.data
                    say(
                        f"{what} {new} waits for a signal: openagents runs signal {new} NAME --data {data}"
                    )
                    return
                engine.watch(new, after=info.version, block_ms=500)
                info = engine.state(new)
        say(f"{what} {new} {info.status}: {_ending(info)}")


def _ending(info: RunInfo) -> str:
    if info.status == "completed":
        return json.dumps(info.output)
    error = info.error or {}
    return f"{error.get('type')}: {error.get('message')}"


def _by_step(info: Mapping[str, object]) -> dict[str, object]:
    """Return a run with its steps by name, without the number of its event."""
    outside = {
        name: value for name, value in info.items() if name not in ("steps", "version")
    }
    steps = info.get("steps")
    by_name = {}
    if isinstance(steps, list):
        by_name = {step["id"]: step for step in steps}
    return {**outside, "steps": by_name}


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > _LONGEST_NUMBER:
        raise InvalidArgument(f"{text!r} is no number of an event")
    return int(text)
