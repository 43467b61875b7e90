"""What every adapter of a port has to do, as tests that any adapter can run."""

from __future__ import annotations

from eventstore.testing.runs import RunStoreContract
from eventstore.testing.streams import StreamStoreContract

__all__ = ["RunStoreContract", "StreamStoreContract"]
