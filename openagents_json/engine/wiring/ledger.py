"""The composition root of what seals the log."""

from __future__ import annotations

import os

from executor.clock import ulid
from openagents_json.engine.wiring.client import Core
from projections.ledger.sealer import Sealer
from projections.ledger.signing import Signer


def build_sealer(core: Core, signer: Signer) -> Sealer:
    """Put together what seals the log of a store."""
    return Sealer(
        core.ledger,
        signer,
        now_ms=core.clock.now_ms,
        random=os.urandom,
        new_id=lambda: ulid(core.clock.now_ms()),
    )
