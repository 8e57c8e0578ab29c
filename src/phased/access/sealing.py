"""Values, encrypted: AES-256-GCM with the secret's id as associated data, so none can stand for another.

Knows one key. Must not know records. A sealed value is: one byte of version, 12 of nonce, the ciphertext.
"""

from __future__ import annotations

import os
from typing import Final

from phased.access.key import Key
from phased.errors import KeyUnusable

_VERSION: Final = b"\x01"
_NONCE: Final = 12


def seal(key: Key, secret_id: str, value: str, *, may_make: bool = True) -> bytes:
    """A value as it is kept. Raises KeyUnusable."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - heavy, seldom needed

    nonce = os.urandom(_NONCE)
    cipher = AESGCM(key.derive("secrets", may_make=may_make))
    return _VERSION + nonce + cipher.encrypt(nonce, value.encode(), _bound_to(secret_id))


def unseal(key: Key, secret_id: str, sealed: bytes) -> str:
    """The value again. Raises KeyUnusable where the key is another one, or the bytes were changed."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - heavy, seldom needed
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - the same

    nonce, rest = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
    cipher = AESGCM(key.derive("secrets", may_make=False))
    try:
        if sealed[:1] != _VERSION:
            raise InvalidTag
        return cipher.decrypt(nonce, rest, _bound_to(secret_id)).decode()
    except (InvalidTag, ValueError):
        raise KeyUnusable(
            f"cannot read the secret {secret_id}: the key {key.path} is not the one that it was encrypted "
            "with; put that back, or set the secret again"
        ) from None


def _bound_to(secret_id: str) -> bytes:
    return f"secret {secret_id}".encode()
