"""The ledger: what is sealed is proved, also where payloads are erased."""
