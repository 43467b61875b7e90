"""Inbound hooks without a store: signatures, bodies, expressions."""
