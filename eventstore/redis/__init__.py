"""The stores on Redis or Valkey: streams, runs, views and the ledger, each change one atomic script of `lua/`."""
