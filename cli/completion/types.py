"""Names of runs, workflows, schedules, components and profiles, as arguments and options that a shell completes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import click
from click.types import StringParamType

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from openagents_json.engine.inspection.completion import Proposal

Propose = Callable[[click.Context, str], "Iterable[CompletionItem]"]

DOCUMENT_ENDINGS: Final = (".json", ".yaml", ".yml")
"""How the names of files with documents end."""

_STORE: Final = ("url", "data", "prefix", "profile")
"""The options on the line that say which store is asked."""


class Completed(StringParamType):
    """A text that a shell completes; what is proposed for its beginning is asked for when somebody presses the key."""

    def __init__(self, name: str, propose: Propose) -> None:
        self.name = name
        self.propose = propose

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002 - as click calls it
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return what is proposed."""
        return list(self.propose(ctx, incomplete))


def propose_runs(ctx: click.Context, beginning: str) -> Iterable[CompletionItem]:
    """Propose the runs that something happened to lately."""
    from openagents_json.engine.inspection.completion import proposed_runs

    return _items(proposed_runs(_options(ctx), beginning))


def propose_workflows(ctx: click.Context, beginning: str) -> Iterable[CompletionItem]:
    """Propose published workflows: by id, version and alias."""
    from openagents_json.engine.inspection.completion import proposed_workflows

    return _items(proposed_workflows(_options(ctx), beginning))


def _propose_ids(ctx: click.Context, beginning: str) -> Iterable[CompletionItem]:
    proposals = propose_workflows(ctx, beginning)
    return (item for item in proposals if "@" not in item.value)


def _propose_documents(ctx: click.Context, beginning: str) -> Iterable[CompletionItem]:
    yield from propose_workflows(ctx, beginning)
    yield from _files(beginning, DOCUMENT_ENDINGS)


def _propose_schedules(ctx: click.Context, beginning: str) -> Iterable[CompletionItem]:
    from openagents_json.engine.inspection.completion import proposed_schedules

    return _items(proposed_schedules(_options(ctx), beginning))


def _propose_components(ctx: click.Context, beginning: str) -> Iterable[CompletionItem]:
    from openagents_json.engine.inspection.completion import proposed_components

    return _items(proposed_components(_options(ctx), beginning))


def _propose_modules(_: click.Context, beginning: str) -> Iterable[CompletionItem]:
    return _files(beginning, (".py", *DOCUMENT_ENDINGS))


def _propose_profiles(_: click.Context, beginning: str) -> Iterable[CompletionItem]:
    from openagents_json.engine.inspection.completion import proposed_profiles

    return _items(proposed_profiles(beginning))


WORKFLOW: Final = Completed("workflow", propose_workflows)
WORKFLOW_ID: Final = Completed("workflow", _propose_ids)
DOCUMENT_OR_WORKFLOW: Final = Completed("workflow", _propose_documents)
SCHEDULE: Final = Completed("schedule", _propose_schedules)
COMPONENT: Final = Completed("component", _propose_components)
COMPONENTS: Final = Completed("text", _propose_modules)
PROFILE: Final = Completed("profile", _propose_profiles)


def _items(proposals: Iterable[Proposal]) -> list[CompletionItem]:
    """Return proposals as shells take them; names that would be more than one line or word there are left out."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(proposal.name, help=proposal.about or None)
        for proposal in proposals
        if proposal.name.isprintable() and " " not in proposal.name
    ]


def _options(ctx: click.Context) -> dict[str, Any]:
    return {name: ctx.params.get(name) for name in _STORE}


def _files(beginning: str, ending: str | tuple[str, ...]) -> Iterator[CompletionItem]:
    """Return the files that end like that, and the folders on the way to others.

    Shells that are told to look for files themselves do so only where nothing else is proposed.
    """
    from click.shell_completion import CompletionItem

    folder, slash, name = beginning.rpartition("/")
    base = folder + slash
    try:
        entries = sorted(os.scandir(base or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        is_hidden = entry.name.startswith(".") and not name.startswith(".")
        if is_hidden or not entry.name.startswith(name):
            continue
        if entry.is_dir():
            yield CompletionItem(f"{base}{entry.name}/")
        elif entry.name.endswith(ending):
            yield CompletionItem(f"{base}{entry.name}")
