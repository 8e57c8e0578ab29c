"""What is asked about secrets, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Wire
from phased.contract.pagination import PaginationRequest, PaginationResponse
from phased.contract.secret import Secret, SecretCredentialProxy, SecretScope, SecretSource
from phased.contract.values import AbsolutePath, Bool, NewSecretValue, SecretName, SecretValue, Uuid


class CreateSecretRequest(Message, proto="gitpod.v1.CreateSecretRequest"):
    """What CreateSecret is asked."""

    name: Annotated[SecretName, Wire(1, "string")]
    project_id: Annotated[str | None, Wire(2, "string")] = None
    value: Annotated[SecretValue | None, Wire(3, "string")] = None
    source: Annotated[SecretSource | None, Wire(13, "Secret.Source")] = None
    file_path: Annotated[AbsolutePath | None, Wire(7, "string", "mount")] = None
    environment_variable: Annotated[Bool | None, Wire(8, "bool", "mount")] = None
    container_registry_basic_auth_host: Annotated[str | None, Wire(9, "string", "mount")] = None
    api_only: Annotated[Bool | None, Wire(11, "bool", "mount")] = None
    credential_proxy: Annotated[SecretCredentialProxy | None, Wire(12, "Secret.CredentialProxy")] = None
    scope: Annotated[SecretScope | None, Wire(10, "SecretScope")] = None


class CreateSecretResponse(Message, proto="gitpod.v1.CreateSecretResponse"):
    """What CreateSecret answers."""

    secret: Annotated[Secret | None, Wire(1, "Secret")] = None


class GetSecretValueRequest(Message, proto="gitpod.v1.GetSecretValueRequest"):
    """What GetSecretValue is asked."""

    secret_id: Annotated[Uuid, Wire(1, "string")]


class GetSecretValueResponse(Message, proto="gitpod.v1.GetSecretValueResponse"):
    """What GetSecretValue answers."""

    value: Annotated[str | None, Wire(1, "string")] = None


class ListSecretsRequestFilter(Message, proto="gitpod.v1.ListSecretsRequest.Filter"):
    """What the list is narrowed to; an empty field narrows nothing."""

    project_ids: Annotated[tuple[Uuid, ...], Field(max_length=25), Wire(1, "repeated string")] = ()
    scope: Annotated[SecretScope | None, Wire(2, "SecretScope")] = None


class ListSecretsRequest(Message, proto="gitpod.v1.ListSecretsRequest"):
    """What ListSecrets is asked."""

    pagination: Annotated[PaginationRequest | None, Wire(1, "PaginationRequest")] = None
    filter: Annotated[ListSecretsRequestFilter | None, Wire(2, "ListSecretsRequest.Filter")] = None


class ListSecretsResponse(Message, proto="gitpod.v1.ListSecretsResponse"):
    """What ListSecrets answers."""

    pagination: Annotated[PaginationResponse | None, Wire(1, "PaginationResponse")] = None
    secrets: Annotated[tuple[Secret, ...], Wire(2, "repeated Secret")] = ()


class UpdateSecretValueRequest(Message, proto="gitpod.v1.UpdateSecretValueRequest"):
    """What UpdateSecretValue is asked."""

    secret_id: Annotated[Uuid, Wire(1, "string")]
    value: Annotated[NewSecretValue, Wire(2, "string")]


class UpdateSecretValueResponse(Message, proto="gitpod.v1.UpdateSecretValueResponse"):
    """What UpdateSecretValue answers. Nothing, where it worked."""


class DeleteSecretRequest(Message, proto="gitpod.v1.DeleteSecretRequest"):
    """What DeleteSecret is asked."""

    secret_id: Annotated[Uuid, Wire(1, "string")]


class DeleteSecretResponse(Message, proto="gitpod.v1.DeleteSecretResponse"):
    """What DeleteSecret answers. Nothing, where it worked."""
