"""The commands of components, and where they live."""

from __future__ import annotations

from typing import Final

import click

from cli.lazy import LazyGroup

_USUAL: Final = "stats"
_CATALOG: Final = "cli.commands.components.catalog"
_HELP: Final = ("-h", "--help")


class _Components(LazyGroup):
    """Without the name of a command, it is the one that was there before there were others."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, after the name of the usual command where none is given."""
        first = next(iter(args), "")
        is_named = first in self.homes or first in _HELP
        given = args if is_named else [_USUAL, *args]
        return super().parse_args(ctx, given)


@click.group(
    cls=_Components,
    homes={
        _USUAL: "cli.commands.runs.tables:components",
        "import": "cli.commands.components.importing:import_components",
        "list": f"{_CATALOG}:list_components",
        "search": f"{_CATALOG}:search",
        "show": f"{_CATALOG}:show_component",
        "register": f"{_CATALOG}:register",
        "deprecate": f"{_CATALOG}:deprecate",
        "alias": f"{_CATALOG}:alias",
        "withdraw": f"{_CATALOG}:withdraw",
        "history": f"{_CATALOG}:history",
    },
)
def components() -> None:
    """Register components, find them, see how they did."""
