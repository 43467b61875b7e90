"""A group of commands that are imported when they are asked for: each command costs only what it needs itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows where its commands live, as "package.module:object" by their names."""

    def __init__(
        self,
        *arguments: Any,
        homes: Mapping[str, str],
        sections: Mapping[str, Sequence[str]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.homes = dict(homes)
        self.sections = dict(sections or {})

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is asked for; of one that there is not, say which is near it.

        Raises click.UsageError.
        """
        name = args[0]
        is_option = not name[:1].isalnum()
        if ctx.resilient_parsing or is_option or self.get_command(ctx, name):
            return super().resolve_command(ctx, args)
        # Only who mistypes pays for the import.
        from difflib import get_close_matches

        near = get_close_matches(name, self.list_commands(ctx), 2)
        hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        return ctx.fail(f"No such command {name!r}{hint}")

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the commands by what they are for; those of no section come last."""
        grouped = {name for names in self.sections.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in grouped]
        sections = {**self.sections, "Others" if grouped else "Commands": others}
        # One width for all, so that the sentences stand below each other.
        width = max(map(len, self.list_commands(ctx)), default=0)
        for title, names in sections.items():
            rows = [
                (name.ljust(width), self._sentence(ctx, name, formatter, width))
                for name in names
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def _sentence(
        self,
        ctx: click.Context,
        name: str,
        formatter: click.HelpFormatter,
        width: int,
    ) -> str:
        command = self.get_command(ctx, name)
        if command:
            return command.get_short_help_str(formatter.width - 6 - width)
        return ""
