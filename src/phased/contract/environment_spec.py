"""What an environment should be."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire
from phased.contract.environment_initializer import EnvironmentInitializer
from phased.contract.environment_phase import AdmissionLevel, EnvironmentPhase
from phased.contract.secret import SecretCredentialProxy, SecretSource
from phased.contract.trigger import AutomationTrigger
from phased.contract.values import Bool, DisconnectedTimeout, Port, PortName, RelativePath, Uint64, Uri, Uuid


class EnvironmentSpecSecretScope(Name):
    """Whose a secret is."""

    UNSPECIFIED = "SCOPE_UNSPECIFIED"
    ORGANIZATION = "SCOPE_ORGANIZATION"
    PROJECT = "SCOPE_PROJECT"
    USER = "SCOPE_USER"
    SERVICE_ACCOUNT = "SCOPE_SERVICE_ACCOUNT"
    RUNNER = "SCOPE_RUNNER"


class EnvironmentSpecEnvironmentPortProtocol(Name):
    """What is spoken on a port."""

    UNSPECIFIED = "PROTOCOL_UNSPECIFIED"
    HTTP = "PROTOCOL_HTTP"
    HTTPS = "PROTOCOL_HTTPS"


class EnvironmentSpecDevContainerLifecycleStage(Name):
    """How far a dev container's commands are run."""

    UNSPECIFIED = "LIFECYCLE_STAGE_UNSPECIFIED"
    FULL = "LIFECYCLE_STAGE_FULL"
    PREBUILD = "LIFECYCLE_STAGE_PREBUILD"


class KernelControlsConfig(Message, proto="gitpod.v1.KernelControlsConfig"):
    """Nothing of it is known here."""


class EnvironmentSpecAutomationsFile(Message, proto="gitpod.v1.EnvironmentSpec.AutomationsFile"):
    """Where the automations file is, relative to the workspace, and which triggers fire."""

    session: Annotated[str | None, Wire(1, "string")] = None
    automations_file_path: Annotated[RelativePath | None, Wire(2, "string")] = None
    trigger_filter: Annotated[tuple[AutomationTrigger, ...], Wire(3, "repeated AutomationTrigger")] = ()


class EnvironmentSpecContent(Message, proto="gitpod.v1.EnvironmentSpec.Content"):
    """What is in the workspace, and as whom git commits."""

    session: Annotated[str | None, Wire(1, "string")] = None
    initializer: Annotated[EnvironmentInitializer | None, Wire(2, "EnvironmentInitializer")] = None
    git_username: Annotated[str | None, Wire(3, "string")] = None
    git_email: Annotated[str | None, Wire(4, "string")] = None


class EnvironmentSpecDevContainerDotfiles(Message, proto="gitpod.v1.EnvironmentSpec.DevContainer.Dotfiles"):
    """A repository of dotfiles."""

    repository: Annotated[Uri, Wire(1, "string")]


class EnvironmentSpecDevContainer(Message, proto="gitpod.v1.EnvironmentSpec.DevContainer"):
    """The dev container; its file is relative to the workspace."""

    session: Annotated[str | None, Wire(1, "string")] = None
    devcontainer_file_path: Annotated[RelativePath | None, Wire(2, "string")] = None
    dotfiles: Annotated[
        EnvironmentSpecDevContainerDotfiles | None, Wire(3, "EnvironmentSpec.DevContainer.Dotfiles")
    ] = None
    default_devcontainer_image: Annotated[str | None, Wire(4, "string")] = None
    lifecycle_stage: Annotated[
        EnvironmentSpecDevContainerLifecycleStage | None,
        Wire(5, "EnvironmentSpec.DevContainer.LifecycleStage"),
    ] = None


class EnvironmentSpecEnvironmentPort(Message, proto="gitpod.v1.EnvironmentSpec.EnvironmentPort"):
    """A port that is reached from outside."""

    port: Annotated[Port, Wire(1, "int32")]
    admission: Annotated[AdmissionLevel | None, Wire(2, "AdmissionLevel")] = None
    name: Annotated[PortName, Wire(3, "string")]
    protocol: Annotated[
        EnvironmentSpecEnvironmentPortProtocol | None, Wire(4, "EnvironmentSpec.EnvironmentPort.Protocol")
    ] = None
    auth_nonce: Annotated[Uint64 | None, Wire(5, "uint64")] = None


class EnvironmentSpecMachine(Message, proto="gitpod.v1.EnvironmentSpec.Machine"):
    """The class of the machine."""

    session: Annotated[str | None, Wire(1, "string")] = None
    class_: Annotated[str | None, Wire(2, "string")] = None
    prefer_dual_disk: Annotated[Bool | None, Wire(3, "bool")] = None


class EnvironmentSpecSSHPublicKey(Message, proto="gitpod.v1.EnvironmentSpec.SSHPublicKey"):
    """A key that may log in."""

    id: Annotated[str | None, Wire(1, "string")] = None
    value: Annotated[str | None, Wire(2, "string")] = None


class EnvironmentSpecSecret(Message, proto="gitpod.v1.EnvironmentSpec.Secret"):
    """A secret of the environment, and how it is mounted: exactly one way."""

    name: Annotated[str | None, Wire(1, "string")] = None
    source: Annotated[str | None, Wire(2, "string")] = None
    source_ref: Annotated[str | None, Wire(3, "string")] = None
    file_path: Annotated[str | None, Wire(10, "string", "mount")] = None
    environment_variable: Annotated[str | None, Wire(11, "string", "mount")] = None
    git_credential_host: Annotated[str | None, Wire(12, "string", "mount")] = None
    container_registry_basic_auth_host: Annotated[str | None, Wire(13, "string", "mount")] = None
    api_only: Annotated[Bool | None, Wire(14, "bool", "mount")] = None
    session: Annotated[str | None, Wire(4, "string")] = None
    id: Annotated[str | None, Wire(5, "string")] = None
    scope: Annotated[EnvironmentSpecSecretScope | None, Wire(6, "EnvironmentSpec.Secret.Scope")] = None
    credential_proxy: Annotated[SecretCredentialProxy | None, Wire(15, "Secret.CredentialProxy")] = None
    source_details: Annotated[SecretSource | None, Wire(16, "Secret.Source")] = None


class EnvironmentSpecTimeout(Message, proto="gitpod.v1.EnvironmentSpec.Timeout"):
    """After how long without a client it stops: 0 never, else at least 30 minutes."""

    disconnected: Annotated[DisconnectedTimeout | None, Wire(2, "google.protobuf.Duration")] = None


class EnvironmentSpec(Message, proto="gitpod.v1.EnvironmentSpec"):
    """What an environment should be; `spec_version` grows with each change."""

    spec_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    desired_phase: Annotated[EnvironmentPhase | None, Wire(2, "EnvironmentPhase")] = None
    machine: Annotated[EnvironmentSpecMachine | None, Wire(3, "EnvironmentSpec.Machine")] = None
    content: Annotated[EnvironmentSpecContent | None, Wire(4, "EnvironmentSpec.Content")] = None
    secrets: Annotated[tuple[EnvironmentSpecSecret, ...], Wire(5, "repeated EnvironmentSpec.Secret")] = ()
    ports: Annotated[
        tuple[EnvironmentSpecEnvironmentPort, ...], Wire(6, "repeated EnvironmentSpec.EnvironmentPort")
    ] = ()
    timeout: Annotated[EnvironmentSpecTimeout | None, Wire(7, "EnvironmentSpec.Timeout")] = None
    admission: Annotated[AdmissionLevel | None, Wire(8, "AdmissionLevel")] = None
    devcontainer: Annotated[EnvironmentSpecDevContainer | None, Wire(9, "EnvironmentSpec.DevContainer")] = (
        None
    )
    ssh_public_keys: Annotated[
        tuple[EnvironmentSpecSSHPublicKey, ...], Wire(10, "repeated EnvironmentSpec.SSHPublicKey")
    ] = ()
    automations_file: Annotated[
        EnvironmentSpecAutomationsFile | None, Wire(11, "EnvironmentSpec.AutomationsFile")
    ] = None
    workflow_action_id: Annotated[Uuid | None, Wire(12, "optional string")] = None
    kernel_controls_config: Annotated[KernelControlsConfig | None, Wire(13, "KernelControlsConfig")] = None
    security_policy_id: Annotated[Uuid | None, Wire(14, "string")] = None
