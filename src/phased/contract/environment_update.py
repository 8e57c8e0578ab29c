"""What of an environment is to be changed; what is absent stays."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.environment_initializer import EnvironmentInitializer
from phased.contract.environment_spec import EnvironmentSpecEnvironmentPort, KernelControlsConfig
from phased.contract.values import DisconnectedTimeout, NewEnvironmentName, RelativePath, Timestamp, Uuid


class UpdateEnvironmentRequestAutomationsFile(
    Message, proto="gitpod.v1.UpdateEnvironmentRequest.AutomationsFile"
):
    """The new automations file; what is absent stays."""

    session: Annotated[str | None, Wire(1, "optional string")] = None
    automations_file_path: Annotated[RelativePath | None, Wire(2, "optional string")] = None


class UpdateEnvironmentRequestContent(Message, proto="gitpod.v1.UpdateEnvironmentRequest.Content"):
    """The new content; what is absent stays."""

    session: Annotated[str | None, Wire(1, "optional string")] = None
    initializer: Annotated[EnvironmentInitializer | None, Wire(2, "optional EnvironmentInitializer")] = None
    git_username: Annotated[str | None, Wire(3, "optional string")] = None
    git_email: Annotated[str | None, Wire(4, "optional string")] = None


class UpdateEnvironmentRequestDevContainer(Message, proto="gitpod.v1.UpdateEnvironmentRequest.DevContainer"):
    """The new dev container; what is absent stays."""

    session: Annotated[str | None, Wire(1, "optional string")] = None
    devcontainer_file_path: Annotated[RelativePath | None, Wire(2, "optional string")] = None


class UpdateEnvironmentRequestMetadata(Message, proto="gitpod.v1.UpdateEnvironmentRequest.Metadata"):
    """The new metadata; what is absent stays."""

    name: Annotated[NewEnvironmentName | None, Wire(1, "optional string")] = None
    lockdown_at: Annotated[Timestamp | None, Wire(2, "optional google.protobuf.Timestamp")] = None


class UpdateEnvironmentRequestSSHPublicKey(Message, proto="gitpod.v1.UpdateEnvironmentRequest.SSHPublicKey"):
    """The new SSH public key; what is absent stays."""

    id: Annotated[str | None, Wire(1, "string")] = None
    value: Annotated[str | None, Wire(2, "optional string")] = None


class UpdateEnvironmentRequestTimeout(Message, proto="gitpod.v1.UpdateEnvironmentRequest.Timeout"):
    """The new timeout; what is absent stays."""

    disconnected: Annotated[DisconnectedTimeout | None, Wire(1, "optional google.protobuf.Duration")] = None


class UpdateEnvironmentRequestSpec(Message, proto="gitpod.v1.UpdateEnvironmentRequest.Spec"):
    """The new spec; what is absent stays."""

    content: Annotated[
        UpdateEnvironmentRequestContent | None, Wire(2, "optional UpdateEnvironmentRequest.Content")
    ] = None
    ssh_public_keys: Annotated[
        tuple[UpdateEnvironmentRequestSSHPublicKey, ...],
        Wire(3, "repeated UpdateEnvironmentRequest.SSHPublicKey"),
    ] = ()
    devcontainer: Annotated[
        UpdateEnvironmentRequestDevContainer | None, Wire(4, "optional UpdateEnvironmentRequest.DevContainer")
    ] = None
    ports: Annotated[
        tuple[EnvironmentSpecEnvironmentPort, ...], Wire(5, "repeated EnvironmentSpec.EnvironmentPort")
    ] = ()
    timeout: Annotated[
        UpdateEnvironmentRequestTimeout | None, Wire(6, "optional UpdateEnvironmentRequest.Timeout")
    ] = None
    automations_file: Annotated[
        UpdateEnvironmentRequestAutomationsFile | None,
        Wire(7, "optional UpdateEnvironmentRequest.AutomationsFile"),
    ] = None
    kernel_controls_config: Annotated[
        KernelControlsConfig | None, Wire(8, "optional KernelControlsConfig")
    ] = None


class UpdateEnvironmentRequest(Message, proto="gitpod.v1.UpdateEnvironmentRequest"):
    """What UpdateEnvironment is asked."""

    environment_id: Annotated[Uuid, Wire(1, "string")]
    metadata: Annotated[
        UpdateEnvironmentRequestMetadata | None, Wire(2, "optional UpdateEnvironmentRequest.Metadata")
    ] = None
    spec: Annotated[
        UpdateEnvironmentRequestSpec | None, Wire(3, "optional UpdateEnvironmentRequest.Spec")
    ] = None


class UpdateEnvironmentResponse(Message, proto="gitpod.v1.UpdateEnvironmentResponse"):
    """What UpdateEnvironment answers. Nothing, where it worked."""
