"""What `openagents doctor` finds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from eventstore.errors import NoStore
from eventstore.redis.driver.connection import connect
from eventstore.redis.driver.fitness.findings import Finding
from eventstore.redis.driver.fitness.preflight import check, check_server
from eventstore.redis.driver.fitness.server_facts import ServerFacts, describe
from eventstore.redis.driver.replication import quorum_of
from eventstore.redis.upkeep.inspection import Inspector
from executor.clock import SystemClock
from executor.coordination.zones import ZONES_VERSION
from executor.integrity.invariants import Violation
from executor.worker.abilities import Fleet
from openagents_json.engine.cataloging.carried_over import not_carried_over
from openagents_json.engine.cataloging.damaged_names import damaged_entries
from openagents_json.engine.diagnosis.deadlocks import stuck_runs
from openagents_json.engine.diagnosis.lapsed_locks import lapsed_locks
from openagents_json.engine.diagnosis.losses import recorded_losses
from openagents_json.engine.diagnosis.tampering import changed_beside
from openagents_json.engine.facade import Engine
from openagents_json.engine.settings import Settings
from openagents_json.statuses import CLOSED_RUN
from openagents_json.workflow.versions import without_bound
from projections.runs import STATUSES, RunFilter

GOES_ON: Final = tuple(name for name in STATUSES if name not in (*CLOSED_RUN, "paused"))
"""The statuses of runs that need a worker to go on."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The state of a store and of those who work on it; `zones` is the release of the time zones here."""

    version: str
    zones: str
    server: ServerFacts
    findings: tuple[Finding, ...]
    violations: tuple[Violation, ...]
    workers: dict[str, Any]

    @property
    def healthy(self) -> bool:
        """Tell whether nothing needs attention."""
        levels = {finding.level for finding in self.findings}
        return not self.violations and "error" not in levels

    def lines(self) -> Iterator[str]:
        """Return the diagnosis as text."""
        yield f"openagents-json {self.version}, time zones {self.zones}"
        yield _server_line(self.server)
        for finding in self.findings:
            yield f"{finding.level}: {finding.what}; {finding.remedy}"
        for violation in self.violations:
            where = violation.run or f"partition {violation.partition}"
            yield f"error: invariant {violation.number}: {where}: {violation.what}"
        yield f"{len(self.workers)} worker process(es) alive"
        for name, info in self.workers.items():
            yield f"  {name}: {_worker_line(info)}"
        yield "all is well" if self.healthy else "something needs attention, see above"


def _server_line(server: ServerFacts) -> str:
    promise = f"appendfsync {server.appendfsync}" if server.appendonly else "no AOF"
    memory_mb = server.memory_bytes / 2**20
    return (
        f"server: {server.name} {server.version}, {promise}, {memory_mb:.1f} MB, "
        f"its clock {server.skew_ms:+d} ms"
    )


def _worker_line(info: Mapping[str, Any]) -> str:
    queues = ", ".join([_with_lease(queue, info) for queue in info["queues"]])
    return f"queues {queues}, concurrency {info['concurrency']}, {info['version']}"


def _with_lease(queue: str, info: Mapping[str, Any]) -> str:
    leases = info.get("lease_ms", {})  # workers of older versions do not say
    lease_ms = leases.get(queue)
    if lease_ms is None:
        return queue
    return f"{queue} (lease {lease_ms / 1000:g} s)"


def diagnose(engine: Engine, settings: Settings, *, deep: bool = False) -> Diagnosis:
    """Look at everything: preflight, invariants with the next wake-up rule, workers, versions, clocks."""
    core = engine.core
    now = core.clock.now_ms
    workers = core.directory.workers()
    here = version("openagents-json")
    findings = (
        *check(core.connection, core.store.keys, settings.durability, now_ms=now),
        *_other_versions(workers, here),
        *recorded_losses(core.store),
        *lapsed_locks(core.store),
        *_other_zones(workers),
        *_without_keys(workers),
        *_still(engine),
        *_without_workers(engine, workers),
        *_nobody(engine, workers),
        *stuck_runs(engine),
        *changed_beside(core, deep=deep),
        *not_carried_over(core),
        *(damaged_entries(core) if deep else ()),
    )
    return Diagnosis(
        version=here,
        zones=ZONES_VERSION,
        server=describe(core.connection, now_ms=now),
        findings=findings,
        violations=tuple(engine.doctor(deep=deep)),
        workers=workers,
    )


def diagnose_server(settings: Settings, missing: NoStore) -> Diagnosis:
    """Look at a server that has no store yet."""
    quorum = quorum_of(
        settings.durability, settings.replicas, settings.replica_timeout_ms
    )
    clock = SystemClock()
    connection = connect(settings.url, quorum=quorum)
    try:
        server = describe(connection, now_ms=clock.now_ms)
        findings = check_server(connection, settings.durability, now_ms=clock.now_ms)
    finally:
        connection.close()
    findings.append(
        Finding(
            level="warning", code="store", what=missing.reason, remedy=missing.remedy
        )
    )
    return Diagnosis(
        version=version("openagents-json"),
        zones=ZONES_VERSION,
        server=server,
        findings=tuple(findings),
        violations=(),
        workers={},
    )


def _other_versions(
    workers: Mapping[str, Mapping[str, Any]], here: str
) -> Iterator[Finding]:
    for name, info in workers.items():
        if info["version"] != here:
            what = f"worker {name} runs version {info['version']}, not {here}"
            yield Finding(
                level="warning", code="version", what=what, remedy="update it"
            )


def _other_zones(workers: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Return the workers that may fire schedules at other times than this process would."""
    for name, info in workers.items():
        zones = info.get("zones", "")
        if zones and zones != ZONES_VERSION:
            what = f"worker {name} has time zones {zones}, not {ZONES_VERSION}: schedules may fire at other times there"
            remedy = "install the same release of the package tzdata for all"
            yield Finding("warning", "zones", what, remedy)


def _without_keys(workers: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Return the workers that lack keys of encrypted runs."""
    keys_by_worker: dict[str, frozenset[str]] = {}
    for name, info in workers.items():
        keys_by_worker[name] = frozenset(info.get("keys", ()))
    all_keys = frozenset[str]().union(*keys_by_worker.values())
    remedy = "set OPENAGENTS_ENCRYPTION_KEYS for it; it leaves such runs alone"
    for name, keys in keys_by_worker.items():
        lacking = ", ".join(sorted(all_keys - keys))
        if lacking:
            what = (
                f"worker {name} lacks the encryption keys {lacking}, which others have"
            )
            yield Finding("warning", "keys", what, remedy)


def _without_workers(engine: Engine, workers: Mapping[str, Any]) -> Iterator[Finding]:
    """Say that nobody is there to do the work that there is."""
    open_runs = 0 if workers else engine.views.count(RunFilter(status=GOES_ON))
    if open_runs:
        runs = "1 run is" if open_runs == 1 else f"{open_runs} runs are"
        what = f"{runs} open and no worker is alive: no step begins, no timer fires"
        remedy = "start one with `openagents worker -c MODULE`"
        yield Finding("error", "workers", what, remedy)


def _nobody(
    engine: Engine, workers: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """Return what steps wait for and no live worker has."""
    fleet = Fleet(engine.core.directory)
    fleet.see(workers)
    waiting = Inspector(engine.core.store).waiting()
    for (queue, component), steps in sorted(waiting.items()):
        if not steps or fleet.can(queue, component):
            continue
        many = "1 step waits" if steps == 1 else f"{steps} steps wait"
        what = f"{many} in queue {queue}, which no live worker serves"
        if component:
            name = without_bound(component)
            what = f"{many} for the component {name}, which no live worker has, in queue {queue}"
        remedy = "start a worker with it (openagents worker -c MODULE)"
        yield Finding("error", "component", what, remedy)


def _still(engine: Engine) -> Iterator[Finding]:
    """Return the projections that stand still."""
    for status in engine.views.views.status():
        for partition, trouble in status.trouble.items():
            what = (
                f"projection {status.name} stands still in partition {partition}, before event {trouble['version']} "
                f"({trouble['type']}) of {trouble['run']}: {trouble['error']}"
            )
            remedy = "correct it; workers with the correction go on by themselves"
            yield Finding("error", "projection", what, remedy)
