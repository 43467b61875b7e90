"""The composition root of what seals the log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from eventstore.redis.ledger import LedgerStore
from executor.clock import ulid
from openagents_json.engine.wiring.client import Core, alone
from openagents_json.engine.wiring.parts import Tenure
from projections.ledger.sealer import Sealer
from projections.ledger.signing import Signer

SEALING: Final = "sealing"
"""The lease of who seals: what is signed of all partitions together has one author at a time."""


def build_sealer(core: Core, signer: Signer, tenure: Tenure | None = None) -> Sealer:
    """Put together what seals the log of a store; without a tenure, it waits for who seals as long as others do."""

    @contextmanager
    def sealing() -> Iterator[LedgerStore]:
        with alone(core.store, SEALING, core.clock, tenure or core.tenure) as client:
            yield LedgerStore(client)

    return Sealer(
        core.ledger,
        signer,
        alone=sealing,
        now_ms=core.clock.now_ms,
        random=os.urandom,
        new_id=lambda: ulid(core.clock.now_ms()),
    )
