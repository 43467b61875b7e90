"""A group of commands that are imported when they are asked for: each command costs only what it needs itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows where its commands live, as "package.module:object" by their names."""

    def __init__(
        self, *arguments: Any, homes: Mapping[str, str], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.homes = dict(homes)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands; none of them is imported for that."""
        return sorted({*super().list_commands(ctx), *self.homes})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        home = self.homes.get(cmd_name)
        if home is None:
            return super().get_command(ctx, cmd_name)
        module, _, name = home.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
