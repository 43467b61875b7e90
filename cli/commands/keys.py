"""Master keys of encrypted runs: make one, and wrap the keys of all runs with another one."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cli.options import Target, changing_options, quiet_option, reading_options
from cli.render import answer
from cli.run_ids import RUN
from cli.terminal import read_input, say
from openagents_json.errors import file_errors


@click.group()
def keys() -> None:
    """Make and rotate the master keys that encrypted runs need."""


@keys.command()
@quiet_option()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def generate(as_json: bool) -> None:
    """Print a new master key. Put it first in OPENAGENTS_ENCRYPTION_KEYS, wherever runs are started or worked on.

    \b
    Example: openagents keys generate
    """
    from openagents_json.engine.keys import new_master_key

    master = new_master_key()
    answer({"key": master.key, "id": master.id}, master.key, as_json=as_json)


@keys.command()
@changing_options
def rotate(target: Target) -> int:
    """Wrap the keys of all runs with the first master key. Then the others are not needed any more.

    May be stopped and repeated. Exit code: 0 when no key needs another master key, 1 otherwise.

    \b
    Example: openagents keys rotate
    """
    with target.engine() as engine:
        done = engine.keys.rotate()
    message = f"{done.rewrapped} run keys are wrapped anew, {done.already} were already"
    answer(done, message, as_json=target.as_json)
    if not target.as_json:
        for run, wrapper in done.unreadable.items():
            why = f"is wrapped by {wrapper}" if wrapper else "cannot be read"
            say(f"run {run}: its key {why}", err=True)
    return 1 if done.unreadable else 0


@keys.command("show")
@click.argument("run", type=RUN)
@reading_options
def show_key(target: Target, run: str) -> int:
    """Print the key of a run, for who is to read its capsule. Whoever has it can read all payloads of the run.

    Exit code: 1 when the run is not encrypted.

    \b
    Example: openagents keys show RUN > run.key
    """
    with target.engine() as engine:
        text = engine.keys.export(run)
    if text is None:
        say(f"run {run} is not encrypted", err=True)
        return 1
    answer({"id": run, "key": text}, text, as_json=target.as_json)
    return 0


@keys.command()
@click.argument("run", type=RUN)
@click.argument("key", required=False, metavar="")
@click.option(
    "--key-file",
    metavar="FILE",
    default="-",
    help="Where the key is.  [default: the standard input]",
)
@changing_options
def adopt(target: Target, run: str, key: str | None, key_file: str) -> None:
    """Keep the key of a run that comes from another store. Then its capsule can be imported.

    `openagents keys show` prints it there.

    \b
    Example: openagents keys adopt RUN --key-file run.key
    """
    if key is not None:
        raise click.UsageError(
            "other users of this machine can see what is an argument, so a key is none: write it to the standard input "
            "or name its file with --key-file"
        )
    from openagents_json.engine.keys import parse_run_key

    secret = parse_run_key(_read_key(key_file, run), run)
    with target.engine(create=True) as engine:
        engine.keys.adopt(run, secret)
    answer({"id": run}, f"the key of run {run} is kept", as_json=target.as_json)


def _read_key(name: str, run: str) -> str:
    if name != "-":
        with file_errors(name, "name the file with the key"):
            raw = Path(name).read_bytes()
    elif sys.stdin.isatty():
        return str(click.prompt(f"The key of run {run}", hide_input=True, err=True))
    else:
        raw = read_input()
    try:
        return raw.decode()
    except UnicodeError:
        raise click.UsageError(f"{name} is no text file with a key") from None
