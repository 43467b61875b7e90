"""Bearer tokens of an identity provider: who counts, as what, and what becomes of all others."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from httpx import Client, Response

from openagents_json.engine import Engine
from openagents_json.server.application import create_app
from openagents_json.server.oidc.errors import InvalidIssuer, IssuerUnreachable
from openagents_json.server.oidc.issuer import Issuer, published_keys
from openagents_json.server.oidc.signing_keys import (
    AGAIN_MS,
    FRESH_MS,
    STALE_MS,
    SigningKeys,
)
from openagents_json.server.oidc.tokens import tokens_of
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import ASKING, engine_on, serving_app

SECOND_KEY = ec.generate_private_key(ec.SECP256R1())
FIRST_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def as_jwk(private: Any, key_id: str, **more: str) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name("RS256" if private is FIRST_KEY else "ES256")
    described = algorithm.to_jwk(private.public_key(), as_dict=True)
    return {**described, "kid": key_id, "use": "sig", **more}


class Provider:
    """An identity provider on this machine."""

    def __init__(self) -> None:
        self.url = ""
        self.described = ""
        self.asked = 0
        self.keys: list[Any] = [as_jwk(FIRST_KEY, "first", alg="RS256")]

    def answer(self, path: str) -> dict[str, Any]:
        if path == "/keys":
            self.asked += 1
            return {"keys": self.keys}
        described = self.described or self.url
        return {"issuer": described, "jwks_uri": f"{self.url}/keys"}


@contextmanager
def providing() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(provider.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with providing() as started:
        yield started


@pytest.fixture(scope="module")
def valkey(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engine(valkey: Server) -> Iterator[Engine]:
    with engine_on(valkey) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(engine: Engine, provider: Provider) -> Iterator[Client]:
    roles = {"on-call": "operator", "readers": "viewer"}
    issuer = Issuer(provider.url, "workflows", "realm.roles", roles)
    tokens = tokens_of(issuer, engine.clock.steady_ms)
    app = create_app(engine, tokens=tokens)
    with serving_app(app) as url, Client(base_url=url, timeout=120) as client:
        yield client


def claims(provider: Provider, *roles: str, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    usual = {"iss": provider.url, "aud": "workflows", "sub": "ada", "iat": now}
    own = {"exp": now + 3600, "realm": {"roles": [*roles]}}
    return {**usual, **own, **more}


def signed(payload: dict[str, Any], **options: Any) -> str:
    header = {"kid": options.pop("kid", "first")}
    key = options.pop("key", FIRST_KEY)
    return jwt.encode(payload, key, options.pop("algorithm", "RS256"), header)


def ask(api: Client, token: str, method: str = "GET", **more: Any) -> Response:
    headers = {"Authorization": f"Bearer {token}"}
    return api.request(method, "/v1/runs", headers=headers, **more)


def test_a_token_acts_as_its_subject_with_the_roles_that_it_gives(
    engine: Engine, api: Client, provider: Provider
) -> None:
    operator = signed(claims(provider, "on-call", "something else"))
    started = ask(api, operator, "POST", json={"workflow": ASKING})
    assert started.status_code == 201
    history = engine.history(started.json()["id"])
    assert history[0].actor == "oidc:ada"
    reader = signed(claims(provider, "readers"))
    assert ask(api, reader).status_code == 200
    refused = ask(api, reader, "POST", json={"workflow": ASKING})
    assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")
    for without in (
        claims(provider),
        claims(provider, realm=1),
        claims(provider, "admin"),
    ):
        assert ask(api, signed(without)).status_code == 403
    key = engine.api_keys.create("beside", "viewer").secret
    assert ask(api, key).status_code == 200


def test_what_is_no_token_of_the_issuer_for_us_is_told_and_refused(
    api: Client, provider: Provider
) -> None:
    good, now = claims(provider, "on-call"), int(time.time())
    public = as_jwk(FIRST_KEY, "first")["n"]
    head, body, signature = signed(good).split(".")
    refused = {
        signed({**good, "exp": now - 60}): "has expired",
        signed({**good, "nbf": now + 600}): "not valid yet",
        signed({**good, "iat": now + 600}): "not valid yet",
        signed({**good, "aud": "others"}): "another audience",
        signed({**good, "iss": "https://else.where"}): "another issuer",
        signed({name: good[name] for name in good if name != "exp"}): "has not all of",
        signed({name: good[name] for name in good if name != "sub"}): "has not all of",
        signed({**good, "sub": "a\nb"}): "cannot be written",
        signed({**good, "exp": float("inf")}): "no signed JSON web token",
        signed(good, key=STRANGER): "not that of its issuer",
        signed(good, algorithm="RS512"): "algorithm",
        signed(good, key=public, algorithm="HS256"): "algorithm",
        signed(good, key=None, algorithm="none"): "algorithm",
        signed(good, kid="nobody's"): "no key of its issuer",
        f"{head}.{body}.": "not that of its issuer",
        f"{head}.{signature}.{body}": "not that of its issuer",
        "a.b.c": "no signed JSON web token",
        "x" * 20_000: "too long",
    }
    for token, why in refused.items():
        answer = ask(api, token)
        told = (answer.status_code, answer.json()["code"])
        assert told == (401, "token_refused"), (why, answer.text)
        assert why in answer.json()["detail"]
    within_leeway = signed({**good, "exp": now - 5})
    assert ask(api, within_leeway).status_code == 200


def test_keys_are_fetched_when_they_are_old_or_missing_and_not_more_often() -> None:
    now_ms = 0.0
    with providing() as provider:
        issuer = Issuer(provider.url, "workflows")
        keys = SigningKeys(lambda: published_keys(issuer), lambda: now_ms)
        provider.keys.append({"kty": "oct", "kid": "secret", "k": "AAAA"})
        provider.keys.append({"kty": "unknown"})
        assert keys.find("first") is not None
        assert [keys.find(each) for each in ("second", "second", "secret")] == [
            None
        ] * 3
        assert provider.asked == 1
        provider.keys = [as_jwk(SECOND_KEY, "second")]
        now_ms += AGAIN_MS + 1
        second = keys.find("second")
        assert second is not None
        assert second.algorithms[0] == "ES256"
        assert (keys.find("first"), provider.asked) == (None, 2)
        now_ms += FRESH_MS + 1
        assert keys.find("second") is not None
        assert provider.asked == 3
        provider.described = "https://somebody.else"
        now_ms += STALE_MS - 1
        assert keys.find("second") is not None
        now_ms += AGAIN_MS + 1
        with pytest.raises(IssuerUnreachable):
            keys.find("second")
        provider.described = ""
        now_ms += AGAIN_MS + 1
        assert keys.find("second") is not None


def test_an_issuer_is_asked_where_nobody_else_can_answer() -> None:
    for url in ("http://login.example.com", "ftp://localhost", "login", ""):
        with pytest.raises(InvalidIssuer):
            Issuer(url, "workflows")
    with pytest.raises(InvalidIssuer):
        Issuer("https://login.example.com", "")
    with pytest.raises(InvalidIssuer):
        Issuer("https://login.example.com", "workflows", roles={"a": "owner"})
