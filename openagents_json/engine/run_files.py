"""Runs in files, as programs handle them."""

from __future__ import annotations

from typing import IO

from openagents_json.engine.archive.capsules import Adopted, Capsule, adopt, export
from openagents_json.engine.audit import AuditService
from openagents_json.engine.wiring.client import Core


class RunFiles:
    """Runs that leave a store as a capsule, or come in as one."""

    def __init__(self, core: Core, actor: str) -> None:
        self._core = core
        self._actor = actor

    def export(self, run: str, file: IO[bytes]) -> Capsule:
        """Write a run to a file as a capsule, with what the ledger proves of it; no more than a payload is held.

        Raises RunNotFound, BrokenHistory, DefinitionMissing, DefinitionChanged and BlobChanged.
        """
        proofs = AuditService(self._core).proof_bytes(run)
        return export(self._core, run, file, actor=self._actor, proofs=proofs)

    def adopt(
        self, capsule: Capsule, *, reason: str = "", paused: bool = False
    ) -> Adopted:
        """Bring the run of a capsule into this store, under its own id; a second time changes nothing.

        One that was open goes on here, or waits, `paused`, until it is resumed. Raises AnotherHistory, InPart,
        HistoryUnfit, EncryptionError and Rejected.
        """
        return adopt(
            self._core, capsule, actor=self._actor, reason=reason, paused=paused
        )
