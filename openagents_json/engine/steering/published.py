"""Published workflows that are to go: who needs them still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.log.publishing import without
from openagents_json.catalog.workflows import choose
from openagents_json.engine.errors import StillNeeded
from openagents_json.statuses import CLOSED_RUN
from projections.runs import STATUSES, RunFilter

if TYPE_CHECKING:
    from openagents_json.engine.wiring.client import Core
    from openagents_json.workflow.core.plan import Plan

PAGE: Final = 500
OPEN: Final = tuple(name for name in STATUSES if name not in CLOSED_RUN)

Entries = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class WorkflowUses:
    """Who uses a published version: how many open `runs` are runs of it, and who would find no other by its name.

    `callers` are open runs with a step that calls it, `workflows` published ones with such a step.
    """

    name: str
    runs: int = 0
    callers: tuple[str, ...] = ()
    schedules: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()

    def reasons(self) -> list[str]:
        """Say who uses it, a sentence each."""
        groups = {
            "runs under way call it": self.callers,
            "schedules start it": self.schedules,
            "aliases mean it": self.aliases,
            "published workflows call it": self.workflows,
        }
        verb = "run of it is" if self.runs == 1 else "runs of it are"
        own = [f"{self.runs} {verb} under way"] if self.runs else []
        return own + [
            f"{what} ({_some(names)})" for what, names in groups.items() if names
        ]


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:3])
    if len(names) <= 3:
        return shown
    return f"{shown} and {len(names) - 3} more"


def uses_of(core: Core, name: str) -> WorkflowUses:
    """Return who uses the published version "id@version".

    Raises UnknownWorkflow and ViewBehind.
    """
    published = core.workflows.published()
    aliases = core.workflows.aliases()
    if name not in published:
        raise UnknownWorkflow(name, published)
    looked_at = _Removal(name, published, aliases)
    id_, _, version = name.partition("@")
    own = RunFilter(status=OPEN, workflow=(id_,), version=(version,))
    return WorkflowUses(
        name=name,
        runs=core.reads.count(own),
        callers=tuple(_callers(core, looked_at)),
        schedules=tuple(
            schedule.name
            for schedule, _ in core.timetable.every()
            if looked_at.takes_away(schedule.workflow)
        ),
        aliases=tuple(
            sorted(
                x for x, entry in aliases.items() if without(entry, x, name) != entry
            )
        ),
        workflows=tuple(
            other
            for other, entry in sorted(published.items())
            if other != name and looked_at.is_called_by(_plan(core, entry))
        ),
    )


def unpublish(core: Core, name: str, *, force: bool, actor: str = "") -> WorkflowUses:
    """Publish a version no more, and return who used it.

    Raises UnknownWorkflow, and StillNeeded unless forced.
    """
    uses = uses_of(core, name)
    reasons = tuple(uses.reasons())
    if reasons and not force:
        raise StillNeeded(name, reasons)
    core.workflows.by(actor).remove(name)
    return uses


@dataclass(frozen=True, slots=True)
class _Removal:
    """A version that is to go, among what is published."""

    name: str
    published: Entries
    aliases: Entries

    def takes_away(self, reference: str) -> bool:
        """Tell whether a reference means something now, and would mean nothing without it."""
        id_, _, version_range = reference.partition("@")
        own_id, _, version = self.name.partition("@")
        if id_ != own_id:
            return False
        versions = {
            key.partition("@")[2]
            for key in self.published
            if key.partition("@")[0] == id_
        }
        alias = self.aliases.get(reference) if version_range else None
        is_found = choose(version_range, versions, alias) is not None
        left = None if alias is None else without(alias, reference, self.name)
        if alias is not None and left is None:
            return is_found
        return is_found and choose(version_range, versions - {version}, left) is None

    def is_called_by(self, plan: Plan) -> bool:
        """Tell whether a step of a workflow calls it, and would find no other."""
        calls = {step.child.workflow for step in plan.steps.values() if step.child}
        # What calls its own id means itself, whatever is published.
        return any(self.takes_away(x) for x in calls if x != plan.id)


def _callers(core: Core, removal: _Removal) -> Iterator[str]:
    """Return the open runs that call it; each definition is looked at once."""
    calls: dict[str, bool] = {}
    query = RunFilter(status=OPEN).query(limit=PAGE)
    while True:
        page = core.reads.views.search("runs", query)
        for item in page.items:
            document: Any = item.document
            definition = str(document["definition"])
            if definition not in calls:
                plan = core.sessions.load(item.key).plan
                calls[definition] = removal.is_called_by(plan)
            if calls[definition]:
                yield item.key
        if not page.next:
            return
        query = replace(query, after=page.next)


def _plan(core: Core, entry: Mapping[str, Any]) -> Plan:
    return core.definitions.plan(str(entry["definition"]))
