"""Encryption and secrets: what nobody may read is nowhere."""
