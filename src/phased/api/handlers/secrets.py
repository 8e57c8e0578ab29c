"""Secrets of the public service; the vault holds the rules of whose they are.

Knows their messages and the vault. Must not know HTTP. A value is in no error and no log.
"""

from __future__ import annotations

from phased.api.calls import Call
from phased.api.paging import listed, told
from phased.contract import secret_calls as m


async def create_secret(call: Call, request: m.CreateSecretRequest) -> m.CreateSecretResponse:
    """Keep a new secret."""
    secret = await call.house.vault.create(request, call.caller)
    return m.CreateSecretResponse.model_construct(secret=secret)


async def list_secrets(call: Call, request: m.ListSecretsRequest) -> m.ListSecretsResponse:
    """Secrets without their values, oldest first."""
    secrets = call.house.vault.listed(call.caller, request.filter)
    page = listed(secrets, lambda one: (str(one.created_at), one.id), "secrets", request.pagination)
    return m.ListSecretsResponse.model_construct(pagination=told(page), secrets=page.entries)


async def get_secret_value(call: Call, request: m.GetSecretValueRequest) -> m.GetSecretValueResponse:
    """The value, to those who may read it."""
    value = call.house.vault.value(request.secret_id, call.caller)
    return m.GetSecretValueResponse.model_construct(value=value)


async def update_secret_value(call: Call, request: m.UpdateSecretValueRequest) -> m.UpdateSecretValueResponse:
    """Replace a value."""
    await call.house.vault.update(request.secret_id, request.value, call.caller)
    return m.UpdateSecretValueResponse.model_construct()


async def delete_secret(call: Call, request: m.DeleteSecretRequest) -> m.DeleteSecretResponse:
    """Forget a secret."""
    await call.house.vault.delete(request.secret_id, call.caller)
    return m.DeleteSecretResponse.model_construct()
