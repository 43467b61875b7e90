"""Where `http.request` may connect to: names and addresses, redirects, certificates."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat
from cryptography.x509.oid import NameOID

from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library import http_network
from openagents_json.components.library.http import request
from openagents_json.components.library.http_exchange import (
    Bounds,
    exchange,
)
from openagents_json.components.library.permissions import http_permissions
from tests.unit.library.web_server import CONTEXT, _Server, get


def test_a_name_that_nobody_looks_up_is_left(web: _Server) -> None:
    over = threading.Event()
    answered = threading.Event()

    def hanging(*args: Any, **kwargs: Any) -> Any:
        over.wait(5)
        answered.set()
        return socket.getaddrinfo("127.0.0.1", *args[1:], **kwargs)

    url = web.answers("/", (200, {}, b"x")).replace("127.0.0.1", "slow.test")
    with pytest.raises(RetryableError, match="longer than its time"):
        exchange(get(url), Bounds(0.05, 1000), hanging)
    assert not answered.is_set()
    over.set()


def test_redirects_are_followed_and_end(web: _Server) -> None:
    web.answers("/there", (200, {}, b"here"))
    url = web.answers("/", (302, {"location": "/there"}, b""))
    assert request(url, CONTEXT, headers={"x-key": "k"})["body"] == "here"
    assert [asked[2].get("x-key") for asked in web.asked] == ["k", "k"]
    circle = web.answers("/circle", (302, {"location": "/circle"}, b""))
    with pytest.raises(NonRetryableError, match="more than 5 times"):
        request(circle, CONTEXT)


def test_what_changes_something_is_not_sent_to_another_address(web: _Server) -> None:
    url = web.answers("/", (307, {"location": "/there"}, b""))
    with pytest.raises(NonRetryableError, match="status 307"):
        request(url, CONTEXT, method="POST", body={})
    see = web.answers("/see", (303, {"location": "/result"}, b""))
    web.answers("/result", (200, {}, b"done"))
    assert request(see, CONTEXT, method="POST", body={})["body"] == "done"
    assert web.asked[-1][::3] == ("GET", b"")


def test_another_origin_gets_no_headers(web: _Server) -> None:
    web.answers("/there", (200, {}, b"here"))
    elsewhere = web.url.replace("127.0.0.1", "localhost") + "/there"
    url = web.answers("/", (302, {"location": elsewhere}, b""))
    headers = {"authorization": "s3cret", "x-api-key": "s3cret"}
    assert request(url, CONTEXT, headers=headers)["body"] == "here"
    assert "s3cret" not in str(web.asked[-1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_what_is_not_public_is_not_reached(
    web: _Server, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.delenv("OPENAGENTS_HTTP_PRIVATE")
    url = web.answers("/", (200, {}, b"x")).replace("127.0.0.1", host)
    with pytest.raises(NonRetryableError, match="OPENAGENTS_HTTP_PRIVATE"):
        request(url, CONTEXT)
    assert web.peers == set()


def test_a_redirect_to_what_is_not_allowed_is_not_followed(
    web: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAGENTS_HTTP_PRIVATE", "127.0.0.1/32")
    monkeypatch.setenv("OPENAGENTS_HTTP_HOSTS", "127.0.0.*")
    private = web.url.replace("127.0.0.1", "127.0.0.2")
    url = web.answers("/", (302, {"location": private}, b""))
    with pytest.raises(NonRetryableError, match="is not public"):
        request(url, CONTEXT)
    named = web.url.replace("127.0.0.1", "localhost")
    url = web.answers("/", (302, {"location": named}, b""))
    with pytest.raises(NonRetryableError, match="OPENAGENTS_HTTP_HOSTS"):
        request(url, CONTEXT)
    assert len(web.asked) == 2


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    web: _Server,
) -> None:
    """A name that is resolved a second time may lead elsewhere."""
    resolved = []

    def changing(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host == "changing.test":
            resolved.append(host)
            host = "127.0.0.1" if len(resolved) == 1 else "192.0.2.1"
        return socket.getaddrinfo(host, *args, **kwargs)

    url = web.answers("/", (200, {}, b"x")).replace("127.0.0.1", "changing.test")
    assert exchange(get(url), Bounds(5, 1000), changing).as_output()["body"] == "x"
    assert resolved == ["changing.test"]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("10.0.0.1", False),
        ("10.9.0.1", True),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2606:2800:220:1::1", True),
    ],
)
def test_addresses_that_are_allowed(address: str, allowed: bool) -> None:
    permissions = http_permissions({"OPENAGENTS_HTTP_PRIVATE": "10.9.0.0/16"})
    assert permissions.allows(ipaddress.ip_address(address)) is allowed


def test_a_wrong_list_of_networks_is_told() -> None:
    with pytest.raises(NonRetryableError, match="has to list networks"):
        http_permissions({"OPENAGENTS_HTTP_PRIVATE": "here"})


@pytest.mark.parametrize(
    ("listed", "allowed"),
    [("", True), ("*.test", True), ("B.test", True), ("test", False), (" , ", False)],
)
def test_hosts_that_are_allowed(listed: str, allowed: bool) -> None:
    permissions = http_permissions({"OPENAGENTS_HTTP_HOSTS": listed})
    if allowed:
        permissions.check_host("b.test.")
        return
    with pytest.raises(NonRetryableError, match="OPENAGENTS_HTTP_HOSTS"):
        permissions.check_host("b.test")


def _certificate(folder: Path) -> Path:
    """Write a certificate for localhost, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    long_ago, far_off = datetime(2020, 1, 1), datetime(2100, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(long_ago).not_valid_after(far_off)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signed = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "localhost.pem"
    file.write_bytes(signed.public_bytes(Encoding.PEM) + private)
    return file


def test_tls_checks_the_certificate_for_the_name(
    web: _Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    http_network._trust.cache_clear()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    web.socket = tls.wrap_socket(web.socket, server_side=True)
    url = web.answers("/", (200, {}, b"x")).replace("http:", "https:")
    named = url.replace("127.0.0.1", "localhost")
    assert request(named, CONTEXT)["body"] == "x"
    with pytest.raises(RetryableError, match="ConnectError"):
        request(url, CONTEXT)
    http_network._trust.cache_clear()
