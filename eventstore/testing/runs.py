"""What every adapter of RunStore has to do, as tests that any adapter can run.

Make a class of your tests that inherits `RunStoreContract` and has a fixture `store`, an empty store with one
partition, and `later`, a function that lets so many ms pass in it. Times in here are long, so that the time which a
test takes itself makes no difference.
"""

from __future__ import annotations

from eventstore.testing.commits import Later
from eventstore.testing.run_claims import RunClaimsContract
from eventstore.testing.run_commits import RunCommitsContract
from eventstore.testing.run_facts import RunFactsContract
from eventstore.testing.run_fairness import RunFairnessContract
from eventstore.testing.run_times import RunTimesContract

__all__ = ["Later", "RunStoreContract"]


class RunStoreContract(
    RunCommitsContract,
    RunClaimsContract,
    RunFactsContract,
    RunTimesContract,
    RunFairnessContract,
):
    """The contract; each test gets a fresh store."""
