"""Secrets and tokens that are forgotten: ports.AccessStore in dictionaries, beside a MemoryStore.

Knows records alone. Must not load SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from phased.core.access import FormerValue, SecretRecord, TokenRecord
from phased.errors import StoreError


class MemoryAccess:
    """Implements `ports.AccessStore`; made by MemoryStore."""

    def __init__(self, check_open: Callable[[], None]) -> None:
        """Empty. `check_open` raises StoreError where the store is closed."""
        self._check_open = check_open
        self._secrets: dict[str, SecretRecord] = {}
        self._former: list[FormerValue] = []
        self._tokens: dict[str, TokenRecord] = {}

    async def save_secret(self, record: SecretRecord, former: FormerValue | None = None) -> None:
        """Keep a secret, a new or a known one, and the value that it had."""
        self._check_open()
        name = (record.scope, record.owner_id, record.name)
        others = [one for one in self._secrets.values() if one.id != record.id]
        if name in [(one.scope, one.owner_id, one.name) for one in others]:
            raise StoreError(f"cannot write the state: there is a secret {record.name} already")
        self._secrets[record.id] = record
        if former is not None:
            self._former.append(former)

    async def remove_secrets(self, former: Sequence[FormerValue]) -> None:
        """Forget these secrets, and keep the values that they had."""
        self._check_open()
        for one in former:
            self._secrets.pop(one.secret_id, None)
        self._former += former

    async def list_secrets(self) -> list[SecretRecord]:
        """All, oldest first."""
        self._check_open()
        return list(self._secrets.values())

    async def list_former_values(self) -> list[FormerValue]:
        """All, oldest first."""
        self._check_open()
        return list(self._former)

    async def drop_former_values(self, before: int) -> None:
        """Forget those that were replaced before this time."""
        self._check_open()
        self._former = [one for one in self._former if one.until >= before]

    async def save_token(self, record: TokenRecord) -> None:
        """Keep a new token."""
        self._check_open()
        if any(record.id == one.id or record.digest == one.digest for one in self._tokens.values()):
            raise StoreError(f"cannot write the state: there is a token {record.id} already")
        self._tokens[record.id] = record

    async def remove_tokens(self, token_ids: Sequence[str]) -> None:
        """Forget tokens."""
        self._check_open()
        for token_id in token_ids:
            self._tokens.pop(token_id, None)

    async def list_tokens(self) -> list[TokenRecord]:
        """All, oldest first."""
        self._check_open()
        return list(self._tokens.values())
