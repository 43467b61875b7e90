"""Operators of a store: archive, audit, capsules, keys, healing, access."""
