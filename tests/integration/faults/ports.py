"""Ports of servers of tests: the kernel gives the same free one to two who ask, so whoever comes later asks again."""

from __future__ import annotations

import socket
import subprocess

import redis

from tests.conftest import wait_for


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def has_begun(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until a server answers; False when it has ended, as another one has its port."""
    wait_for(lambda: process.poll() is not None or _is_at(process, port))
    return process.poll() is None


def _is_at(process: subprocess.Popen[bytes], port: int) -> bool:
    """Tell whether it is this server that answers on a port: another one that does would be taken for it."""
    try:
        with redis.Redis(port=port, socket_timeout=10) as client:
            # One that loads its log yet says who it is, and does not answer.
            is_own = client.info("server")["process_id"] == process.pid
            return bool(is_own and client.ping())
    except redis.RedisError:
        return False
