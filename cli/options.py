"""Options that commands share, and how a command gets at its engine."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.completion.types import COMPONENTS, PROFILE
from cli.failing.interrupts import (
    notice_at_interrupt,
    notice_of_changing,
    notice_of_reading,
)
from cli.inputs.components import component_options
from cli.run_ids import full_ids
from cli.terminal import remember_flag
from cli.urls import Url

if TYPE_CHECKING:
    from openagents_json.engine import Engine, Settings
    from openagents_json.engine.inspection.queries import Queries
    from openagents_json.engine.profiles.resolve import Resolved

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Which store a command works on, and with which components."""

    settings: Settings
    components: tuple[str, ...]
    as_json: bool
    resolved: Resolved[Settings]
    """The settings before this command changed any of them, and where they come from."""

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
        """Return the options that name this store in a command to be copied, none where it is the usual one anyway."""
        from openagents_json.engine import has_password
        from openagents_json.engine.profiles.choice import OPTION
        from openagents_json.engine.settings import command_settings

        # Whoever copies the command has the same environment, and perhaps another working directory.
        choice = self.resolved.choice
        profile = choice.name if choice.source.kind == OPTION else None
        usual = command_settings({}, profile=profile).settings
        options = {} if profile is None else {"profile": profile}
        here = {"data": self.settings.data, "prefix": self.settings.prefix}
        options |= {
            name: value for name, value in here.items() if value != getattr(usual, name)
        }
        if self.settings.url != usual.url:
            url = self.settings.url
            options["url"] = "@FILE" if has_password(url) else url
        return "".join(
            f" --{name} {shlex.quote(value)}" for name, value in options.items()
        )

    @property
    def is_remote(self) -> bool:
        """Tell whether the store is behind a service."""
        return self.settings.url.lower().startswith(("http://", "https://"))

    def worker(self) -> str:
        """Return the command that starts a worker on this store."""
        if self.is_remote:
            return "openagents worker -c MODULE"
        command = "worker" if self.settings.url else "dev"
        components = component_options(self.components)
        return f"openagents {command}{components}{self.place()}"

    def views(self) -> AbstractContextManager[Queries]:
        """Open the views of the store alone, for lists: most of the engine stays out of it."""
        if self.is_remote:
            from cli.remote.engine import remote_views

            return remote_views(self.settings)
        from openagents_json.engine.open import viewing

        return viewing(self.settings)

    def engine(
        self,
        *,
        workers: int = 0,
        projections: bool = False,
        create: bool = False,
        alone: bool = False,
        telemetry: Any = None,
    ) -> AbstractContextManager[Engine]:
        """Open the engine: on the server of `--url`, behind the service there, or in the data directory.

        Threads work with `--components`, or `alone` in a store. Only what puts something into one is to `create` it.
        """
        if self.is_remote:
            from cli.remote.engine import remote_engine

            return remote_engine(self.settings)
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
            telemetry=telemetry,
        )


class RenamedOption(click.Option):
    """An option that is understood by the name that it had before, too; the help shows the name that it has now."""

    def __init__(self, *names: Any, formerly: str, **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.formerly = formerly

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Let the parser take both names."""
        super().add_to_parser(parser, ctx)
        action = "append" if self.multiple else "store"
        parser.add_option(self, [self.formerly], self.name, action=action, nargs=1)


reason_option = click.option(
    "--reason", default="", help="Why; it is kept in the history."
)

quiet_option = partial(
    click.option,
    "--quiet",
    "-q",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=remember_flag,
    help="Print the result and what went wrong, and nothing beside it.",
)

_wide_option = partial(
    click.option,
    "--wide",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=remember_flag,
    help="Whole ids, times and texts, however long the lines.",
)

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

label_option = click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=VALUE",
    help="A label of the run, by which it is found later.",
)


def input_options(command: Command) -> Command:
    """Add the options for inputs; the command gets them as `pairs` and `inputs_file`."""
    whole = click.option(
        "--inputs",
        "--input-file",
        "inputs_file",
        metavar="FILE|-",
        help="A JSON object with inputs; --input counts before it.",
    )
    single = click.option(
        "--input",
        "-i",
        "pairs",
        multiple=True,
        metavar="NAME=VALUE|@FILE",
        help="An input, read by the type that the document declares for it.",
    )
    return single(whole(command))


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """Read labels.

    Raises click.BadParameter.
    """
    labels: dict[str, str] = {}
    for pair in texts:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(
                f"{pair!r} must be NAME=VALUE", param_hint="--label"
            )
        earlier = labels.setdefault(name, value)
        if earlier != value:
            raise click.BadParameter(
                f"{name!r} cannot be both {earlier!r} and {value!r}",
                param_hint="--label",
            )
    return labels


_LEVELS = ["memory", "everysec", "always", "replicated"]

_OPTIONS = {
    "profile": partial(
        click.option,
        "--profile",
        metavar="NAME",
        type=PROFILE,
        help="A profile of openagents.toml; see `openagents config show`.",
    ),
    "url": partial(
        click.option,
        "--url",
        type=Url(),
        help="Server of the store, or a service of it; without it, the embedded server in --data.",
    ),
    "data": partial(
        click.option,
        "--data",
        help="Data directory of the embedded server.  [default: .openagents]",
    ),
    "broker": partial(
        click.option,
        "--broker",
        type=Url(),
        help="Celery broker for doorbells.  [default: the store's server]",
    ),
    "prefix": partial(
        click.option, "--prefix", help="Prefix of the store's keys.  [default: oa]"
    ),
    "durability": partial(
        click.option,
        "--durability",
        type=click.Choice(_LEVELS),
        help="What an answer promises.",
    ),
    "replicas": partial(
        click.option,
        "--replicas",
        type=int,
        help="How many confirm at durability replicated; 0 for all.  [default: 0]",
    ),
    "lease_ms": partial(
        click.option,
        "--lease-ms",
        type=int,
        help="How long a worker may be silent.  [default: 10000]",
    ),
    "leases": partial(
        click.option, "--leases", help="The same by worker type, as agent=60s,tool=5s."
    ),
    "components": partial(
        click.option,
        "--components",
        "-c",
        multiple=True,
        type=COMPONENTS,
        help="Module, module:object, .py file, file or folder/ of specs.",
    ),
    "quiet": quiet_option,
    "wide": _wide_option,
    "as_json": partial(
        click.option, "--json", "as_json", is_flag=True, help="Print JSON."
    ),
}
"""The shared options, in the order of the help; each is a setting of its name, unless it stands below."""

_NO_SETTINGS = ("profile", "components", "quiet", "wide", "as_json")
_SETTINGS = tuple(name for name in _OPTIONS if name not in _NO_SETTINGS)
_STORE = ("profile", "url", "data", "prefix", "quiet")
_READING = (*_STORE, "as_json")
_CHANGING = (*_READING, "durability", "replicas")
_STARTING = (*_CHANGING, "broker")


def target_options(command: Command) -> Command:
    """Add all shared options: for what may run components; the command gets them as one `target`."""
    return _with_options(command, tuple(name for name in _OPTIONS if name != "wide"))


def worker_options(command: Command) -> Command:
    """Add the shared options of a process that works until it is told to stop."""
    from cli.remote.stores import at_a_store

    names = tuple(name for name in _OPTIONS if name not in ("wide", "as_json"))
    return _with_options(at_a_store(command), names)


def reading_options(command: Command) -> Command:
    """Add the shared options of what looks into a store and changes nothing."""
    return _with_options(command, _READING)


def configuring_options(command: Command) -> Command:
    """Add all shared options, for what shows them."""
    return _with_options(command, tuple(_OPTIONS))


def listing_options(command: Command) -> Command:
    """Add the shared options of what looks into a store, and draws what it sees for people."""
    return _with_options(command, (*_READING, "wide"))


def page_options(command: Command) -> Command:
    """Add the options of a list that comes in pages."""
    limit = click.option(
        "--limit",
        type=click.IntRange(1, 10_000),
        default=50,
        show_default=True,
        help="How many at most.",
    )
    after = click.option(
        "--after",
        default="",
        metavar="CURSOR",
        help="Behind the page that ended with this.",
    )
    return limit(after(command))


def changing_options(command: Command) -> Command:
    """Add the shared options of what changes something, after which there is no more work than before."""
    return _with_options(command, _CHANGING)


def starting_options(command: Command) -> Command:
    """Add the shared options of what starts runs by name, for workers."""
    return _with_options(command, _STARTING)


def knowing_options(command: Command) -> Command:
    """Add the shared options of what has to know components or projections, and runs none."""
    return _with_options(command, (*_CHANGING, "components"))


def knowing_listing_options(command: Command) -> Command:
    """Add the shared options of what has to know projections, and draws a list of them."""
    return _with_options(command, (*_CHANGING, "components", "wide"))


def editing_options(command: Command) -> Command:
    """Add the shared options of what helps to write documents, and needs no store."""
    return _with_options(command, ("profile", "quiet", "components"))


def _with_options(command: Command, names: Sequence[str]) -> Command:
    """Add shared options; the command gets them as one `target`. A Ctrl-C of which it says nothing is told here."""
    notice = notice_of_changing if "durability" in names else notice_of_reading

    def with_target(**values: Any) -> Any:
        from openagents_json.engine.settings import command_settings

        given = {name: values.pop(name) for name in _SETTINGS}
        components = tuple(values.pop("components"))
        given["components"] = ",".join(components) or None
        resolved = command_settings(given, profile=values.pop("profile"))
        settings = resolved.settings
        if not components and "components" in names:
            components = tuple(x for x in settings.components.split(",") if x)
        target = Target(settings, components, values.pop("as_json"), resolved)
        with notice_at_interrupt(notice):
            return command(target=target, **full_ids(values, target.views))

    with_target.__name__ = command.__name__
    with_target.__doc__ = command.__doc__
    # Those of the command itself are parameters already, in the order of the help; click takes them last first.
    own = reversed(getattr(command, "__click_params__", []))
    # Where one does not act, it is not shown; it is taken all the same, as scripts give all commands the same.
    shared = [option(hidden=name not in names) for name, option in _OPTIONS.items()]
    for option in reversed([*shared, *own]):
        if callable(option):
            with_target = option(with_target)
        else:
            earlier = getattr(with_target, "__click_params__", [])
            with_target.__click_params__ = [*earlier, option]  # type: ignore[attr-defined]
    return with_target  # type: ignore[return-value]
