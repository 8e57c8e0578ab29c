"""Secrets and tokens in the tables: ports.AccessStore over SQLite.

Knows the tables of migration 4, and no value or token in clear. Every change is made durable against a loss
of power: it is what a user said. Transactions and connection are those of the store that it is a part of.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from phased.core.access import FormerValue, MountKind, ScopeKind, SecretRecord, TokenRecord
from phased.store.failures import translated

_SECRET: Final = (
    "id", "name", "scope", "owner_id", "mount", "place", "sealed", "created_at", "updated_at", "creator_id",
    "creator_principal",
)  # fmt: skip
_FORMER: Final = ("secret_id", "scope", "owner_id", "sealed", "until")
_TOKEN: Final = (
    "id", "digest", "roles", "environment_id", "created_at", "expires_at", "creator_id", "creator_principal",
    "uid", "description",
)  # fmt: skip


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES (?{', ?' * (len(columns) - 1)})"  # noqa: S608 - names from above


def _select(table: str, columns: Sequence[str]) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} ORDER BY number"  # noqa: S608 - names from above


_SAVE_SECRET: Final = (
    f"{_insert('secrets', _SECRET)} ON CONFLICT (id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in _SECRET[1:])}"
)
_SAVE_FORMER: Final = _insert("former_values", _FORMER)
_SAVE_TOKEN: Final = _insert("tokens", _TOKEN)


class SqliteAccess:
    """Implements `ports.AccessStore`; made by SqliteStore."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        transaction: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """`transaction` is all or nothing, and durable."""
        self._connection = connection
        self._path = path
        self._transaction = transaction

    async def save_secret(self, record: SecretRecord, former: FormerValue | None = None) -> None:
        """Save a secret, a new or a known one, and the value that it had."""
        with self._transaction():
            self._connection.execute(_SAVE_SECRET, _secret_row(record))
            if former is not None:
                self._connection.execute(_SAVE_FORMER, _former_row(former))

    async def remove_secrets(self, former: Sequence[FormerValue]) -> None:
        """Forget these secrets, and keep the values that they had."""
        with self._transaction():
            self._connection.executemany(
                "DELETE FROM secrets WHERE id = ?", [(one.secret_id,) for one in former]
            )
            self._connection.executemany(_SAVE_FORMER, [_former_row(one) for one in former])

    async def list_secrets(self) -> list[SecretRecord]:
        """All, oldest first."""
        return [_secret(row) for row in self._rows(_select("secrets", _SECRET))]

    async def list_former_values(self) -> list[FormerValue]:
        """All, oldest first."""
        return [_former(row) for row in self._rows(_select("former_values", _FORMER))]

    async def drop_former_values(self, before: int) -> None:
        """Forget those that were replaced before this time."""
        with self._transaction():
            self._connection.execute("DELETE FROM former_values WHERE until < ?", (before,))

    async def save_token(self, record: TokenRecord) -> None:
        """Save a new token."""
        with self._transaction():
            self._connection.execute(_SAVE_TOKEN, _token_row(record))

    async def remove_tokens(self, token_ids: Sequence[str]) -> None:
        """Forget tokens."""
        with self._transaction():
            self._connection.executemany("DELETE FROM tokens WHERE id = ?", [(one,) for one in token_ids])

    async def list_tokens(self) -> list[TokenRecord]:
        """All, oldest first."""
        return [_token(row) for row in self._rows(_select("tokens", _TOKEN))]

    def _rows(self, sql: str) -> list[Any]:
        with translated(self._path, "read"):
            return self._connection.execute(sql).fetchall()


def _secret_row(record: SecretRecord) -> tuple[str | int | bytes, ...]:
    return (
        record.id, record.name, record.scope.value, record.owner_id, record.mount.value, record.place,
        record.sealed, record.created_at, record.updated_at, record.creator_id, record.creator_principal,
    )  # fmt: skip


def _secret(row: Sequence[Any]) -> SecretRecord:
    secret_id, name, scope, owner, mount, *rest = row
    return SecretRecord(secret_id, name, ScopeKind(scope), owner, MountKind(mount), *rest)


def _former_row(one: FormerValue) -> tuple[str | int | bytes, ...]:
    return (one.secret_id, one.scope.value, one.owner_id, one.sealed, one.until)


def _former(row: Sequence[Any]) -> FormerValue:
    secret_id, scope, *rest = row
    return FormerValue(secret_id, ScopeKind(scope), *rest)


def _token_row(record: TokenRecord) -> tuple[str | int | bytes | None, ...]:
    return (
        record.id, record.digest, json.dumps(record.roles), record.environment_id, record.created_at,
        record.expires_at, record.creator_id, record.creator_principal, record.uid, record.description,
    )  # fmt: skip


def _token(row: Sequence[Any]) -> TokenRecord:
    token_id, digest, roles, *rest = row
    return TokenRecord(token_id, digest, tuple(json.loads(roles)), *rest)
