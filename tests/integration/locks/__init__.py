"""Locks: leases with a token that the store compares with each write."""
