"""A secret: a value that is never shown, and how steps get it."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.subject import Subject
from phased.contract.values import Bool, HostAndPort, NotEmpty, Timestamp, Uri, Uuid


class SecretScope(Message, proto="gitpod.v1.SecretScope"):
    """Whose a secret is; exactly one is set."""

    project_id: Annotated[Uuid | None, Wire(1, "string", "scope")] = None
    user_id: Annotated[Uuid | None, Wire(2, "string", "scope")] = None
    organization_id: Annotated[Uuid | None, Wire(3, "string", "scope")] = None
    service_account_id: Annotated[Uuid | None, Wire(4, "string", "scope")] = None


class SecretCredentialProxy(Message, proto="gitpod.v1.Secret.CredentialProxy"):
    """Hosts to which a proxy adds the secret, in a header, so that no step sees it."""

    target_hosts: Annotated[tuple[str, ...], Wire(1, "repeated string")] = ()
    header: Annotated[str | None, Wire(2, "string")] = None


class SecretSourceOidcJFrog(Message, proto="gitpod.v1.Secret.Source.OidcJFrog"):
    """A value that is exchanged for an identity at a host."""

    host: Annotated[HostAndPort, Wire(1, "string")]
    provider_name: Annotated[NotEmpty, Wire(2, "string")]


class SecretSource(Message, proto="gitpod.v1.Secret.Source"):
    """Where the value comes from: as it was given, or an exchange."""

    verbatim: Annotated[Bool | None, Wire(1, "bool", "value")] = None
    oidc_jfrog: Annotated[SecretSourceOidcJFrog | None, Wire(2, "Secret.Source.OidcJFrog", "value")] = None


class Secret(Message, proto="gitpod.v1.Secret"):
    """A secret without its value, and how it is mounted: exactly one way."""

    id: Annotated[Uuid, Wire(1, "string")]
    name: Annotated[str | None, Wire(2, "string")] = None
    project_id: Annotated[Uuid | None, Wire(3, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(4, "google.protobuf.Timestamp")] = None
    updated_at: Annotated[Timestamp | None, Wire(5, "google.protobuf.Timestamp")] = None
    creator: Annotated[Subject | None, Wire(6, "Subject")] = None
    file_path: Annotated[str | None, Wire(7, "string", "mount")] = None
    environment_variable: Annotated[Bool | None, Wire(8, "bool", "mount")] = None
    container_registry_basic_auth_host: Annotated[Uri | None, Wire(9, "string", "mount")] = None
    api_only: Annotated[Bool | None, Wire(11, "bool", "mount")] = None
    scope: Annotated[SecretScope | None, Wire(10, "SecretScope")] = None
    credential_proxy: Annotated[SecretCredentialProxy | None, Wire(12, "Secret.CredentialProxy")] = None
    source: Annotated[SecretSource | None, Wire(13, "Secret.Source")] = None
