"""What can be wrong with a request that has an idempotency key.

Conflict
+-- KeyReused           an idempotency key stands for another request
+-- RequestUnderWay     a request with the same idempotency key is carried out now
"""

from __future__ import annotations

from openagents_json.errors import Conflict


class KeyReused(Conflict):
    """An idempotency key stands for another request; carries the hashes `asked` and `recorded`."""

    code = "idempotency_key_reused"
    http_status = 422

    def __init__(self, asked: str, recorded: str) -> None:
        self.asked = asked
        self.recorded = recorded
        super().__init__(
            f"the idempotency key was used for another request ({recorded[:12]}, not {asked[:12]})",
            remedy="nothing was done: send the same request again, or another key",
        )


class RequestUnderWay(Conflict):
    """A request with the same idempotency key is carried out now."""

    code = "request_under_way"

    def __init__(self, left_ms: int) -> None:
        self.left_ms = left_ms
        super().__init__(
            "a request with the same idempotency key is carried out now",
            remedy="send it again in a moment: it is answered as that one is",
        )
