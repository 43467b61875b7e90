"""Signatures with Ed25519 (RFC 8032): the only place that knows the library that makes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from projections.errors import KeyUnusable


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key; `id` names it, `public` is the raw public key of 32 bytes."""

    id: str
    public: bytes
    _key: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(message)

    def private_pem(self) -> bytes:
        """Return the private key as a PEM file."""
        return self._key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )


def signer(key: Ed25519PrivateKey) -> Signer:
    """Return a key with its name."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Signer(key_id(public), public, key)


def new_signer() -> Signer:
    """Make a new key."""
    return signer(Ed25519PrivateKey.generate())


def load_signer(pem: bytes, where: str) -> Signer:
    """Read a private key.

    Raises KeyUnusable.
    """
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            where, "it is not a private key in PEM without a password"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(where, "it is not a key for Ed25519")
    return signer(key)


def load_public(pem: bytes, where: str) -> bytes:
    """Read a public key, PEM or 64 hexadecimal digits, and give its 32 bytes.

    Raises KeyUnusable.
    """
    text = pem.strip()
    if len(text) == 64:
        try:
            return bytes.fromhex(text.decode())
        except ValueError as error:
            raise KeyUnusable(where, "it is neither PEM nor hexadecimal") from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(where, "it is not a public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyUnusable(where, "it is not a key for Ed25519")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def public_pem(public: bytes) -> bytes:
    """Return a raw public key as a PEM file."""
    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def key_id(public: bytes) -> str:
    """Name a public key: the first half of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is that of a key over a message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
