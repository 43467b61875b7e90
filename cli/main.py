"""The command and how it fails: one line on stderr that says what to do, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from pydantic import ValidationError

from cli.commands.audit import audit
from cli.commands.inspect import doctor, runs
from cli.commands.keeping import retention
from cli.commands.keys import keys
from cli.commands.listing import components, steps, workers
from cli.commands.projections import projections
from cli.commands.run import run, validate
from cli.commands.schedules import schedules
from cli.commands.work import dev, worker
from cli.commands.workflows import workflows
from eventstore.errors import EventStoreError
from executor.forking import NoSuchVersion
from executor.importing import AnotherHistory, HistoryUnfit
from executor.journal import PayloadRefused
from executor.sessions import BrokenHistory, RunNotFound
from openagents_json.components.errors import ComponentError
from openagents_json.engine import ConcurrencyLimitReached, DocumentUnreadable, HealError
from openagents_json.engine.archiving import NotArchived
from openagents_json.engine.capsule_file import CapsuleUnreadable
from openagents_json.workflow.commands import Rejected
from openagents_json.workflow.errors import WorkflowError
from openagents_json.workflow.events import UnknownEvent
from projections.errors import ProjectionError

EXPECTED = (
    EventStoreError,
    PayloadRefused,
    CapsuleUnreadable,
    HistoryUnfit,
    AnotherHistory,
    NoSuchVersion,
    BrokenHistory,
    RunNotFound,
    ComponentError,
    ProjectionError,
    ConcurrencyLimitReached,
    DocumentUnreadable,
    CapsuleUnreadable,
    AnotherHistory,
    HistoryUnfit,
    NoSuchVersion,
    NotArchived,
    HealError,
    Rejected,
    UnknownEvent,
    WorkflowError,
    OSError,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="openagents-json", message="%(version)s")
def cli() -> None:
    """Durable workflows from JSON documents, on Redis Streams."""


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell; evaluate it in the shell's start-up file."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"no completion for {shell}")
    click.echo(kind(cli, {}, "openagents", "_OPENAGENTS_COMPLETE").source())


for command in (
    run,
    validate,
    dev,
    worker,
    runs,
    workflows,
    schedules,
    steps,
    components,
    workers,
    projections,
    audit,
    retention,
    keys,
    doctor,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; the exit code says how it ended."""
    try:
        code = cli.main(args=arguments, prog_name="openagents", standalone_mode=False)
    except click.exceptions.Abort:
        fail("interrupted", 130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "openagents"
        fail(f"{error.format_message().rstrip('.')}; see `{where} --help`", error.exit_code)
    except ValidationError as error:
        first = error.errors()[0]
        fail(f"setting {'.'.join(str(x) for x in first['loc'])}: {first['msg']}", 2)
    except EXPECTED as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        fail("interrupted", 130)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def fail(message: str, code: int) -> None:
    """Say what went wrong and end."""
    click.echo(f"openagents: {message}", err=True)
    sys.exit(code)
