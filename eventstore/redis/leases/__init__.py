"""Leases: who may do something alone, for how long; and stores whose writes are refused when the lease is lost."""
