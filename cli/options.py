"""Options that commands share, and how a command gets at its engine."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.run_ids import full_ids
from cli.urls import Url

if TYPE_CHECKING:
    from openagents_json.engine import Engine, Settings
    from openagents_json.engine.inspection.queries import Queries

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Which store a command works on, and with which components."""

    settings: Settings
    components: tuple[str, ...]
    as_json: bool

    @property
    def actor(self) -> str:
        """Name who is at the keyboard, for the history; `OPENAGENTS_ACTOR` may say it better."""
        if self.settings.actor:
            return self.settings.actor
        try:
            return f"cli:{getpass.getuser()}"
        except (KeyError, OSError):  # a user without a name
            return "cli"

    def place(self) -> str:
        """Return the options that name this store in a command to be copied, none where the environment names it."""
        from openagents_json.engine import has_password
        from openagents_json.engine.settings import from_environment

        usual = from_environment()
        options = {"data": self.settings.data, "prefix": self.settings.prefix}
        if self.settings.url != usual.url:
            url = self.settings.url
            options["url"] = "@FILE" if has_password(url) else url
        return "".join(
            f" --{name} {shlex.quote(value)}"
            for name, value in options.items()
            if value != getattr(usual, name)
        )

    def views(self) -> AbstractContextManager[Queries]:
        """Open the views of the store alone, for lists: most of the engine stays out of it."""
        from openagents_json.engine.open import viewing

        return viewing(self.settings)

    def engine(
        self,
        *,
        workers: int = 0,
        projections: bool = False,
        create: bool = False,
        alone: bool = False,
    ) -> Engine:
        """Open the engine: on the server of `--url`, or on the embedded one in the data directory.

        Threads work if there are components of `--components`, or if the store is this command's `alone`.
        With `projections`, those in the modules of `--components` are known to it. Only what puts something into a
        store is to `create` one: who looks into one that is not there is mistaken about the place.
        """
        from openagents_json.engine import Engine, Registry, load_components
        from openagents_json.engine.projections import in_modules

        components = Registry()
        if self.components or workers:
            components = load_components(self.components)
        with_projections = projections or self.components or workers
        return Engine.open(
            self.settings.model_copy(update={"actor": self.actor}),
            components=components,
            workers=workers if self.components or alone else 0,
            projections=in_modules(self.components) if with_projections else [],
            create=create,
        )


_LEVELS = ["memory", "everysec", "always", "replicated"]

_OPTIONS = [
    click.option(
        "--url",
        type=Url(),
        help="Server of the store; without it, the embedded one in the data directory.",
    ),
    click.option(
        "--data", help="Data directory of the embedded server.  [default: .openagents]"
    ),
    click.option(
        "--broker",
        type=Url(),
        help="Celery broker for doorbells.  [default: the store's server]",
    ),
    click.option("--prefix", help="Prefix of the store's keys.  [default: oa]"),
    click.option(
        "--durability", type=click.Choice(_LEVELS), help="What an answer promises."
    ),
    click.option(
        "--replicas",
        type=int,
        help="How many confirm at durability replicated; 0 for all.  [default: 0]",
    ),
    click.option(
        "--lease-ms",
        type=int,
        help="How long a worker may be silent.  [default: 10000]",
    ),
    click.option("--leases", help="The same by worker type, as agent=60s,tool=5s."),
    click.option(
        "--components",
        "-c",
        multiple=True,
        help="Module, module:object or .py file with components.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
]


_SETTINGS = (
    "url",
    "data",
    "broker",
    "prefix",
    "durability",
    "replicas",
    "lease_ms",
    "leases",
)
"""The options that are settings of the same name."""


def target_options(command: Command) -> Command:
    """Add the shared options; the command gets them as one `target`."""

    def with_target(**values: Any) -> Any:
        from openagents_json.engine.settings import from_environment, read_settings

        given = {name: values.pop(name) for name in _SETTINGS}
        settings = from_environment()
        changed = {name: value for name, value in given.items() if value is not None}
        settings = read_settings({**settings.model_dump(), **changed})
        components = tuple(values.pop("components"))
        if not components:
            components = tuple(x for x in settings.components.split(",") if x)
        target = Target(settings, components, values.pop("as_json"))
        return command(target=target, **full_ids(values, target.views))

    with_target.__name__, with_target.__doc__ = command.__name__, command.__doc__
    # Those of the command itself are parameters already, in the order of the help; click takes them last first.
    own = reversed(getattr(command, "__click_params__", []))
    for option in reversed([*_OPTIONS, *own]):
        if callable(option):
            with_target = option(with_target)
        else:
            earlier = getattr(with_target, "__click_params__", [])
            with_target.__click_params__ = [*earlier, option]  # type: ignore[attr-defined]
    return with_target  # type: ignore[return-value]
