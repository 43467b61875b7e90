"""Inbound hooks: requests of other services, which are signed, start runs or send signals, each delivery once."""
