"""Whom a service has to be certified by."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def trusted_certificates() -> ssl.SSLContext:
    """Return the certificates that httpx trusts: read once in a process, as reading them takes longer than a call."""
    return httpx.create_ssl_context()
