"""Specs that workers of older versions have published: told by the doctor, and carried over into the catalog once."""

from __future__ import annotations

from collections.abc import Iterator

from eventstore.redis.coordination.catalog import CatalogStore
from eventstore.redis.coordination.members import Directory
from eventstore.redis.driver.fitness.findings import Finding
from executor.clock import commit_ids
from executor.integrity.mending import RepairResult
from openagents_json.catalog.log.decisions import announce
from openagents_json.catalog.names import Names
from openagents_json.catalog.specs import registrable
from openagents_json.catalog.workflows import Workflows
from openagents_json.components.errors import InvalidDeclaration
from openagents_json.engine.wiring.client import Core
from openagents_json.statuses import COMPONENT

ACTOR = "upgrade"

UPGRADE = "upgrade"
"""The lease of who brings a store of an older version up to this one."""


def not_carried_over(core: Core) -> Iterator[Finding]:
    """Tell of specs that stand outside of the catalog."""
    workflows = len(core.workflows.older())
    if workflows:
        what = f"{workflows} workflows of an older version are not in the catalog, which has no history of them"
        yield Finding(
            "warning", "catalog", what, "repair the store: it carries them over"
        )
    count = core.directory.count_specs()
    if count:
        what = f"{count} component specs of an older version are not in the catalog, which has no history of them"
        yield Finding(
            "warning", "catalog", what, "repair the store: it carries them over"
        )


def carry_over(core: Core) -> list[RepairResult]:
    """Register what older versions have published, and then take it away; done again, it goes on.

    First all of it is registered: who dies in between does it once more, which changes nothing. By one process alone:
    who was paused in between would take away what an older worker has published since, and nobody has registered.
    Raises LockTaken and LockLost.
    """
    if not (core.directory.count_specs() or core.workflows.older()):
        return []
    with core.alone(UPGRADE) as client:
        names = Names(CatalogStore(client), core.clock.steady_ms, commit_ids())
        directory = Directory(client)
        workflows = Workflows(names, core.definitions, directory)
        results = [*_workflows(workflows), *_specs(directory, names)]
    core.registered.names.fresh_until = 0.0  # others have registered them, as it were
    return results


def _workflows(workflows: Workflows) -> Iterator[RepairResult]:
    for id_ in sorted(workflows.older()):
        answers = workflows.carry_over(id_)
        refused = [str(x.error) for x in answers if x.error is not None]
        what = "; ".join(refused) or "it is in the catalog now"
        yield RepairResult(id_, not refused, what)


def _specs(directory: Directory, catalog: Names) -> list[RepairResult]:
    older = directory.specs()
    names, specs, results = [], [], []
    for name, data in sorted(older.items()):
        try:
            specs.append(registrable(data))
            names.append(name)
        except InvalidDeclaration as error:
            results.append(RepairResult(name, False, str(error)))
    requests = [announce(COMPONENT, str(spec["name"]), spec) for spec in specs]
    answers = catalog.carry_out(requests, actor=ACTOR)
    for name, answer in zip(names, answers, strict=True):
        what = str(answer.error or "its spec is in the catalog now")
        results.append(RepairResult(name, answer.error is None, what))
    directory.forget_specs(names)
    return results
