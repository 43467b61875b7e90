"""The group `runs`: which commands there are, and where they live."""

from __future__ import annotations

import click

from cli.lazy import LazyGroup

COMMANDS = {
    "list": "cli.commands.runs.list:list_runs",
    "failures": "cli.commands.runs.list:failures",
    "waiting": "cli.commands.runs.inspection.waiting:waiting",
    "show": "cli.commands.runs.inspection.show:show_run",
    "timeline": "cli.commands.runs.inspection.timeline:show_timeline",
    "watch": "cli.commands.runs.watch:watch",
    "output": "cli.commands.runs.watch:output",
    "history": "cli.commands.runs.history:history",
    "cancel": "cli.commands.runs.steering.control:cancel",
    "pause": "cli.commands.runs.steering.control:pause",
    "resume": "cli.commands.runs.steering.control:resume",
    "signal": "cli.commands.runs.steering.control:signal",
    "shred": "cli.commands.runs.steering.control:shred",
    "retry": "cli.commands.runs.replay:retry",
    "rerun": "cli.commands.runs.replay:rerun",
    "replay": "cli.commands.runs.replay:replay",
    "skip": "cli.commands.runs.replay:skip",
    "complete": "cli.commands.runs.replay:complete",
    "fork": "cli.commands.runs.replay:fork",
    "state": "cli.commands.runs.replay:state",
    "diff": "cli.commands.runs.replay:diff",
    "explain": "cli.commands.runs.replay:explain",
    "heal": "cli.commands.runs.heal:heal",
    "delete": "cli.commands.runs.steering.delete:delete",
    "hold": "cli.commands.runs.archive:hold",
    "release": "cli.commands.runs.archive:release",
    "archive": "cli.commands.runs.archive:archive",
    "restore": "cli.commands.runs.archive:restore",
    "memory": "cli.commands.runs.archive:memory",
    "redact": "cli.commands.runs.redact:redact",
    "export": "cli.commands.runs.files:export_run",
    "import": "cli.commands.runs.files:import_run",
    "promote": "cli.commands.runs.files:promote_run",
    "open": "cli.commands.runs.open:open_run",
}


SECTIONS = {
    "Look": (
        *("list", "show", "timeline", "watch", "output"),
        *("history", "state", "waiting"),
    ),
    "Understand": ("failures", "explain", "diff"),
    "Steer": ("signal", "pause", "resume", "cancel"),
    "Run again": ("retry", "rerun", "replay", "skip", "complete", "fork", "heal"),
    "Keep and erase": (
        *("archive", "restore", "hold", "release", "memory"),
        *("delete", "redact", "shred"),
    ),
    "Move": ("export", "import", "open", "promote"),
}


@click.group(cls=LazyGroup, homes=COMMANDS, sections=SECTIONS)
def runs() -> None:
    """List, show, follow and steer runs.

    \b
    Examples:
      openagents runs list --status failed
      openagents runs show RUN
      openagents runs retry RUN --wait -c components.py
    """
