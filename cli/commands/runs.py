"""The group `runs`: which commands there are, and where they live."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

COMMANDS = {
    "list": "cli.commands.listing:list_runs",
    "failures": "cli.commands.listing:failures",
    "show": "cli.commands.watching:show_run",
    "watch": "cli.commands.watching:watch",
    "output": "cli.commands.watching:output",
    "history": "cli.commands.history:history",
    "cancel": "cli.commands.steering:cancel",
    "pause": "cli.commands.steering:pause",
    "resume": "cli.commands.steering:resume",
    "signal": "cli.commands.steering:signal",
    "shred": "cli.commands.steering:shred",
    "retry": "cli.commands.replaying:retry",
    "rerun": "cli.commands.replaying:rerun",
    "replay": "cli.commands.replaying:replay",
    "skip": "cli.commands.replaying:skip",
    "complete": "cli.commands.replaying:complete",
    "fork": "cli.commands.replaying:fork",
    "state": "cli.commands.replaying:state",
    "diff": "cli.commands.replaying:diff",
    "explain": "cli.commands.replaying:explain",
    "heal": "cli.commands.healing:heal",
    "hold": "cli.commands.keeping:hold",
    "release": "cli.commands.keeping:release",
    "archive": "cli.commands.keeping:archive",
    "restore": "cli.commands.keeping:restore",
    "memory": "cli.commands.keeping:memory",
    "redact": "cli.commands.erasing:redact",
    "export": "cli.commands.capsules:export_run",
    "import": "cli.commands.capsules:import_run",
    "promote": "cli.commands.capsules:promote_run",
    "open": "cli.commands.opening:open_run",
}


@click.group(cls=LazyGroup, homes=COMMANDS)
def runs() -> None:
    """List, show, follow and steer runs."""
