"""Arguments of the command line: an exit code that is documented, words that a terminal shows, and a store in order."""

from __future__ import annotations

import _weakrefset
import json
import os
import re
import signal
import string
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from random import Random
from types import FrameType
from typing import Final

import click

from cli.root import cli
from tests.acceptance.processes import openagents_bytes
from tests.fuzz.cli_world import World
from tests.fuzz.mutations import ODD_TEXTS, mutate_text
from tests.fuzz.shrinking import smaller_json

CODES: Final = frozenset(range(9))
WAITING: Final = frozenset(
    {
        "run",
        "runs watch",
        "runs output",
        "runs promote",
        "runs open",
        "runs replay",
        "runs heal",
        "runs import",
        "schedules trigger",
        *(f"runs {name}" for name in ("retry", "rerun", "skip", "complete", "fork")),
        *(f"runs {name}" for name in ("signal", "resume", "cancel")),
    }
)
"""What waits by its nature, or with --wait, until somebody interrupts it."""

UNSTARTED: Final = frozenset({"dev", "worker"})
"""What runs until it is told to stop: given a server that is not there."""

DATA: Final = frozenset({"runs output", "runs export", "audit export"})
"""What prints data as it is into a pipe; on a terminal, that is escaped or refused."""

PATIENCE: Final = 1.0
"""Seconds until somebody at the keyboard has waited for long enough for what waits by its nature."""

LONG_PATIENCE: Final = 30.0
"""For everything else."""

BAD: Final = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]"
)
WORDS: Final = (
    *(
        "{done}",
        "{failed}",
        "{waits}",
        "{held}",
        "0-none",
        "good",
        "waits",
        "fails",
        "good@^1",
        "good@stable",
        "good@9",
    ),
    *(
        "good.json",
        "waits.json",
        "wrong.json",
        "text.txt",
        "run.oac",
        "folder",
        "none.json",
        "-",
        "policy.json",
        "key.pub",
    ),
    *(
        "text=x",
        "n=5",
        "=",
        "a=b=c",
        "text=[1",
        "x",
        "runs",
        "steps",
        "workers",
        "go",
        "a",
        "b",
        "stable",
        "completed",
    ),
    *(
        "failed",
        "running",
        "0 3 * * *",
        "* * * * *",
        "@daily",
        "2030-01-01",
        "2030-01-01T00:00:00Z",
        "1h",
        "now",
        "UTC",
    ),
    *(
        "Europe/Berlin",
        "nightly",
        "0",
        "1",
        "2",
        "-1",
        "99",
        "1.5",
        "nan",
        "inf",
        "1e999",
        "9" * 30,
        "{}",
        "[]",
        "null",
    ),
    *(
        '{"a": 1}',
        '"x"',
        "[" * 300,
        "json",
        "jsonl",
        "otel",
        "cloudevents",
        "bash",
        "memory",
        "always",
        "threads",
    ),
    *(
        "memory://x",
        "file://folder",
        "archive",
        "foo://x",
        "http:",
        "%s",
        "{}",
        "{x}",
        "\\n",
    ),
)
NOWHERE: Final = "redis://127.0.0.1:1/0"


class Arguments:
    """The target; an input is JSON: `arguments`, and what is `given` on the standard input."""

    name = folder = "arguments"
    extension = ".json"

    def __init__(self, world: World) -> None:
        self._world = world

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Call something else, or change, add, remove or double an argument."""
        parts = json.loads(raw)
        arguments = list(parts["arguments"])
        path = command_of(arguments)
        match random.randrange(8):
            case 0 | 1:
                arguments = _call(random.choice(sorted(commands())), random)
            case 2 | 3 if path:
                arguments = [*arguments, *_option(path, random)]
            case 4 if arguments:
                del arguments[random.randrange(len(arguments))]
            case 5 if arguments:
                arguments.insert(
                    random.randrange(len(arguments)), random.choice(arguments)
                )
            case _ if arguments:
                at = random.randrange(len(arguments))
                arguments[at] = (
                    _value(random)
                    if random.random() < 0.5
                    else _changed(arguments[at], random)
                )
        given = random.choice(
            (parts["given"], "", "q\n", "n\nb\ns\nd\ne\ng 1\nx\nq\n", _value(random))
        )
        return json.dumps({"arguments": arguments[:12], "given": given}).encode()

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        """Return shorter calls."""
        for less in smaller_json(raw):
            value = json.loads(less)
            if (
                isinstance(value, dict)
                and {"arguments", "given"} <= value.keys()
                and value["arguments"]
            ):
                yield less

    def check(self, raw: bytes) -> str:
        """Call the command on a store that is always the same."""
        argument_list = json.loads(raw)
        arguments, path = (
            list(argument_list["arguments"]),
            command_of(argument_list["arguments"]),
        )
        if not _harmless(arguments):
            return "not called"
        with self._world.restored() as folder:
            where = self._world.where if path and _takes_a_store(path) else []
            if path in UNSTARTED:
                where = ["--url", NOWHERE]
            call = [
                _from_a_shell(self._world.named(argument))
                for argument in (*arguments, *where)
            ]
            with _somebody_interrupts(path) as interrupted:
                given = str(argument_list["given"]).encode("utf-8", "surrogatepass")
                done = openagents_bytes(*call, folder=folder, given=given)
            check_words(done.returncode, done.stdout, done.stderr, path)
            if interrupted:
                assert path in WAITING, f"`{path}` does not end"
                assert done.returncode in (*CODES, 130), f"exit code {done.returncode}"
            else:
                assert done.returncode in CODES, f"exit code {done.returncode}"
                _check_json(done.returncode, call, done.stdout, path)
            self._world.check()
        return f"{path} {done.returncode} {masked(done.stderr)}"


def check_words(code: int, out: bytes, err: bytes, path: str) -> None:
    """Check that what a command says is for people, and that it says something when it fails."""
    errors = err.decode()
    assert "Traceback (most recent call last)" not in errors, (
        f"`{path}` shows a traceback: {errors[-600:]}"
    )
    assert "is a defect" not in errors, f"`{path}` has a defect: {errors[-600:]}"
    bad = BAD.search(errors)
    assert bad is None, (
        f"`{path}` says {errors[max(0, bad.start() - 40) : bad.end() + 9]!r}"
    )
    if path not in DATA:
        told = out.decode()
        bad = BAD.search(told)
        assert bad is None, (
            f"`{path}` prints {told[max(0, bad.start() - 40) : bad.end() + 9]!r}"
        )
    assert code != 2 or not out, (
        f"`{path}` refuses its arguments, and prints {out[:80]!r} all the same"
    )
    assert code not in (1, 2) or errors or out, f"`{path}` fails without a word"


def _check_json(code: int, call: Sequence[str], out: bytes, path: str) -> None:
    if code or not _wants_json(call, path) or not out.strip():
        return
    text = out.decode()
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def _wants_json(call: Sequence[str], path: str) -> bool:
    """Tell whether `--json` is an option in a call, and not the value of one."""
    if "--json" not in call or not path or {"-h", "--help", "--"} & {*call}:
        return False
    options = [
        x
        for x in commands()[path].params
        if isinstance(x, click.Option) and not x.is_flag
    ]
    return call[call.index("--json") - 1] not in {
        name
        for option in options
        for name in (*option.opts, getattr(option, "formerly", ""))
    }


def _from_a_shell(argument: str) -> str:
    """Return an argument as Python gets it: bytes that are no text stand in it one by one."""
    return os.fsdecode(argument.encode("utf-8", "surrogatepass"))


def masked(raw: bytes) -> str:
    """Return the first words of a message, without what it quotes; an error in JSON stands in the last line."""
    lines = raw.decode("utf-8", "replace").strip().split("\n")
    message = _message(lines[-1]) or lines[0]
    text = re.sub(
        r"'[^']*'|\"[^\"]*\"|[0-9]+|[^a-z ]",
        "",
        message.split("\n")[0].lower(),
    )
    return " ".join(text.split()[:9])


def _message(line: str) -> str:
    """Return what an error in JSON says; a line that is none may look like one at its beginning, as ids do."""
    with suppress(ValueError):
        error = json.loads(line)
        return str(error["message"]) if isinstance(error, dict) else ""
    return ""


@contextmanager
def _somebody_interrupts(path: str) -> Iterator[list[int]]:
    """Send what Ctrl-C sends, after a while, and again if that changes nothing; the list then is not empty."""
    times: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == _weakrefset.__file__:
            # What callbacks of weak references raise goes nowhere: it comes again in a moment.
            signal.setitimer(signal.ITIMER_REAL, 0.01, LONG_PATIENCE)
            return
        times.append(number)
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, interrupt)
    left = signal.setitimer(
        signal.ITIMER_REAL,
        PATIENCE if path in WAITING else LONG_PATIENCE,
        LONG_PATIENCE,
    )
    try:
        yield times
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)  # of the campaign, or of pytest
        signal.signal(signal.SIGALRM, handler)


# -- how calls are made ----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def commands() -> Mapping[str, click.Command]:
    """Return all commands by what is written to call them."""
    commands_by_name: dict[str, click.Command] = {}
    todo: list[tuple[tuple[str, ...], click.Command]] = [((), cli)]
    while todo:
        path, command = todo.pop()
        if isinstance(command, click.Group):
            context = click.Context(command)
            names = command.list_commands(context)
            todo += [
                ((*path, name), inner)
                for name in names
                if (inner := command.get_command(context, name))
            ]
        else:
            commands_by_name[" ".join(path)] = command
    return commands_by_name


def command_of(arguments: Sequence[str]) -> str:
    """Return which command is called, "" when it is none."""
    return next(
        (
            path
            for path in (" ".join(arguments[:size]) for size in (2, 1))
            if path in commands()
        ),
        "",
    )


def _takes_a_store(path: str) -> bool:
    return any("--url" in parameter.opts for parameter in commands()[path].params)


def _call(path: str, random: Random) -> list[str]:
    """Call a command with as many arguments as it takes, and some of its options."""
    arguments = [x for x in commands()[path].params if isinstance(x, click.Argument)]
    values = [
        _value_of(argument, random)
        for argument in arguments
        if argument.required or random.random() < 0.6
    ]
    options = [
        word for _ in range(random.randrange(4)) for word in _option(path, random)
    ]
    required = [
        x for x in commands()[path].params if isinstance(x, click.Option) and x.required
    ]
    options += [
        word
        for option in required
        for word in (option.opts[0], _value_of(option, random))
    ]
    return [*path.split(), *values, *options]


def _option(path: str, random: Random) -> list[str]:
    option = random.choice(
        [x for x in commands()[path].params if isinstance(x, click.Option)] or [_HELP]
    )
    name = random.choice(option.opts)
    if option.is_flag and random.random() < 0.95:
        return [name]
    value = _value_of(option, random)
    return (
        [f"{name}={value}"]
        if name.startswith("--") and random.random() < 0.5
        else [name, value]
    )


_HELP: Final = click.Option(["--help"], is_flag=True)


def _value_of(parameter: click.Parameter, random: Random) -> str:
    """Return a value of the kind that a parameter takes, or, now and then, any."""
    if random.random() < 0.2:
        return _value(random)
    match parameter.type:
        case click.Choice(choices=choices):
            return str(random.choice(list(choices)))
        case click.types.IntParamType() | click.types.FloatParamType():
            return random.choice(
                ("0", "1", "2", "3", "99", "1.5", "-1", "nan", "inf", "9" * 30)
            )
    if parameter.name in ("run", "runs", "one", "other"):
        return random.choice(("{done}", "{failed}", "{waits}", "{held}", "0-none"))
    if parameter.name == "components":
        return random.choice(("parts.py", "parts", "none.py", "text.txt", "nope:x", ""))
    if parameter.name in ("url", "to", "broker", "to_broker"):
        return random.choice((NOWHERE, "memory://x", "foo://x", "x", "", "archive"))
    return _value(random)


def _value(random: Random) -> str:
    return (
        random.choice(WORDS)
        if random.random() < 0.8
        else random.choice(ODD_TEXTS).replace("\x00", "")
    )


def _changed(argument: str, random: Random) -> str:
    return mutate_text(argument, WORDS, tuple(string.printable), random)


def _harmless(arguments: Sequence[str]) -> bool:
    """Tell whether a call stays in its folder and on its server."""
    return not any("\0" in argument or _leads_away(argument) for argument in arguments)


def _leads_away(argument: str) -> bool:
    if argument.endswith(NOWHERE):
        return False
    scheme, scheme_end, _ = argument.rpartition("://")
    named = re.search(r"[a-z0-9]+\Z", scheme)
    if scheme_end and (named is None or named[0] not in ("memory", "foo")):
        return True
    return (
        ".." in argument
        or "~" in argument
        or re.search(r"(\A|[=:])/|redis|unix|\A-[a-z]+/", argument) is not None
    )
