"""What an environment is."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire
from phased.contract.environment_phase import EnvironmentPhase
from phased.contract.git_status import EnvironmentGitStatus
from phased.contract.values import ActivitySource, Bool, Port, Timestamp, Uint64


class EnvironmentStatusAutomationsFilePresence(Name):
    """Whether there is a file, and how it was found."""

    UNSPECIFIED = "PRESENCE_UNSPECIFIED"
    ABSENT = "PRESENCE_ABSENT"
    DISCOVERED = "PRESENCE_DISCOVERED"
    SPECIFIED = "PRESENCE_SPECIFIED"


class EnvironmentStatusContentPhase(Name):
    """Where content stands. Numbers are those of protobuf."""

    UNSPECIFIED = "CONTENT_PHASE_UNSPECIFIED"
    CREATING = "CONTENT_PHASE_CREATING", 10
    INITIALIZING = "CONTENT_PHASE_INITIALIZING", 20
    READY = "CONTENT_PHASE_READY", 30
    UPDATING = "CONTENT_PHASE_UPDATING", 35
    FAILED = "CONTENT_PHASE_FAILED", 40
    UNAVAILABLE = "CONTENT_PHASE_UNAVAILABLE", 45


class EnvironmentStatusDevContainerPhase(Name):
    """Where a dev container stands. Numbers are those of protobuf."""

    UNSPECIFIED = "PHASE_UNSPECIFIED"
    CREATING = "PHASE_CREATING", 10
    RUNNING = "PHASE_RUNNING", 20
    STOPPED = "PHASE_STOPPED", 30
    FAILED = "PHASE_FAILED", 40


class EnvironmentStatusDevContainerPresence(Name):
    """Whether there is a file, and how it was found."""

    UNSPECIFIED = "PRESENCE_UNSPECIFIED"
    GENERATED = "PRESENCE_GENERATED"
    DISCOVERED = "PRESENCE_DISCOVERED"
    SPECIFIED = "PRESENCE_SPECIFIED"


class EnvironmentStatusMachinePhase(Name):
    """Where a machine stands. Numbers are those of protobuf."""

    UNSPECIFIED = "PHASE_UNSPECIFIED"
    CREATING = "PHASE_CREATING", 10
    STARTING = "PHASE_STARTING", 20
    RUNNING = "PHASE_RUNNING", 30
    STOPPING = "PHASE_STOPPING", 40
    STOPPED = "PHASE_STOPPED", 50
    DELETING = "PHASE_DELETING", 60
    DELETED = "PHASE_DELETED", 70


class EnvironmentStatusRunnerACKStatusCode(Name):
    """What a runner says to a spec."""

    UNSPECIFIED = "STATUS_CODE_UNSPECIFIED"
    OK = "STATUS_CODE_OK"
    INVALID_RESOURCE = "STATUS_CODE_INVALID_RESOURCE"
    FAILED_PRECONDITION = "STATUS_CODE_FAILED_PRECONDITION"


class EnvironmentActivitySignal(Message, proto="gitpod.v1.EnvironmentActivitySignal"):
    """That something was active, and when."""

    source: Annotated[ActivitySource, Wire(1, "string")]
    timestamp: Annotated[Timestamp | None, Wire(2, "google.protobuf.Timestamp")] = None


class EnvironmentStatusAutomationsFile(Message, proto="gitpod.v1.EnvironmentStatus.AutomationsFile"):
    """Which automations file is in use."""

    session: Annotated[str | None, Wire(1, "string")] = None
    automations_file_path: Annotated[str | None, Wire(2, "string")] = None
    phase: Annotated[EnvironmentStatusContentPhase | None, Wire(3, "EnvironmentStatus.ContentPhase")] = None
    failure_message: Annotated[str | None, Wire(4, "string")] = None
    automations_file_presence: Annotated[
        EnvironmentStatusAutomationsFilePresence | None, Wire(5, "EnvironmentStatus.AutomationsFile.Presence")
    ] = None
    warning_message: Annotated[str | None, Wire(6, "string")] = None


class EnvironmentStatusContent(Message, proto="gitpod.v1.EnvironmentStatus.Content"):
    """Where the content stands and is."""

    session: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[EnvironmentStatusContentPhase | None, Wire(2, "EnvironmentStatus.ContentPhase")] = None
    git: Annotated[EnvironmentGitStatus | None, Wire(3, "EnvironmentGitStatus")] = None
    content_location_in_machine: Annotated[str | None, Wire(4, "string")] = None
    failure_message: Annotated[str | None, Wire(5, "string")] = None
    warning_message: Annotated[str | None, Wire(6, "string")] = None


class EnvironmentStatusDevContainer(Message, proto="gitpod.v1.EnvironmentStatus.DevContainer"):
    """Where the dev container stands."""

    session: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[
        EnvironmentStatusDevContainerPhase | None, Wire(2, "EnvironmentStatus.DevContainer.Phase")
    ] = None
    devcontainer_file_path: Annotated[str | None, Wire(3, "string")] = None
    devcontainerconfig_in_sync: Annotated[Bool | None, Wire(4, "bool")] = None
    secrets_in_sync: Annotated[Bool | None, Wire(5, "bool")] = None
    failure_message: Annotated[str | None, Wire(6, "string")] = None
    remote_user: Annotated[str | None, Wire(7, "string")] = None
    remote_workspace_folder: Annotated[str | None, Wire(8, "string")] = None
    container_name: Annotated[str | None, Wire(9, "string")] = None
    container_id: Annotated[str | None, Wire(10, "string")] = None
    warning_message: Annotated[str | None, Wire(12, "string")] = None
    devcontainer_file_presence: Annotated[
        EnvironmentStatusDevContainerPresence | None, Wire(13, "EnvironmentStatus.DevContainer.Presence")
    ] = None


class EnvironmentStatusEnvironmentPortURL(Message, proto="gitpod.v1.EnvironmentStatus.EnvironmentPortURL"):
    """The address of a port."""

    port: Annotated[Port, Wire(1, "int32")]
    url: Annotated[str | None, Wire(2, "string")] = None


class EnvironmentStatusEnvironmentSSHURL(Message, proto="gitpod.v1.EnvironmentStatus.EnvironmentSSHURL"):
    """The address for SSH."""

    url: Annotated[str | None, Wire(1, "string")] = None


class EnvironmentStatusEnvironmentURLs(Message, proto="gitpod.v1.EnvironmentStatus.EnvironmentURLs"):
    """The addresses of an environment."""

    ssh: Annotated[
        EnvironmentStatusEnvironmentSSHURL | None, Wire(1, "EnvironmentStatus.EnvironmentSSHURL")
    ] = None
    ports: Annotated[
        tuple[EnvironmentStatusEnvironmentPortURL, ...],
        Wire(2, "repeated EnvironmentStatus.EnvironmentPortURL"),
    ] = ()
    logs: Annotated[str | None, Wire(3, "string")] = None
    support_bundle: Annotated[str | None, Wire(4, "string")] = None
    ops: Annotated[str | None, Wire(5, "string")] = None
    vm_live_usage: Annotated[str | None, Wire(6, "string")] = None


class EnvironmentStatusMachineVersions(Message, proto="gitpod.v1.EnvironmentStatus.Machine.Versions"):
    """What the machine runs."""

    supervisor_version: Annotated[str | None, Wire(1, "string")] = None
    supervisor_commit: Annotated[str | None, Wire(2, "string")] = None
    ami_id: Annotated[str | None, Wire(3, "string")] = None


class EnvironmentStatusMachine(Message, proto="gitpod.v1.EnvironmentStatus.Machine"):
    """Where the machine stands."""

    session: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[EnvironmentStatusMachinePhase | None, Wire(2, "EnvironmentStatus.Machine.Phase")] = None
    failure_message: Annotated[str | None, Wire(3, "string")] = None
    timeout: Annotated[str | None, Wire(4, "string")] = None
    versions: Annotated[
        EnvironmentStatusMachineVersions | None, Wire(5, "EnvironmentStatus.Machine.Versions")
    ] = None
    warning_message: Annotated[str | None, Wire(6, "string")] = None
    dual_disk: Annotated[Bool | None, Wire(7, "bool")] = None


class EnvironmentStatusRunnerACK(Message, proto="gitpod.v1.EnvironmentStatus.RunnerACK"):
    """Which spec the runner has seen."""

    spec_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    status_code: Annotated[
        EnvironmentStatusRunnerACKStatusCode | None, Wire(2, "EnvironmentStatus.RunnerACK.StatusCode")
    ] = None
    message: Annotated[str | None, Wire(3, "string")] = None


class EnvironmentStatusSSHPublicKey(Message, proto="gitpod.v1.EnvironmentStatus.SSHPublicKey"):
    """Where a key stands."""

    id: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[EnvironmentStatusContentPhase | None, Wire(2, "EnvironmentStatus.ContentPhase")] = None


class EnvironmentStatusSecret(Message, proto="gitpod.v1.EnvironmentStatus.Secret"):
    """Where a secret stands."""

    id: Annotated[str | None, Wire(1, "string")] = None
    phase: Annotated[EnvironmentStatusContentPhase | None, Wire(2, "EnvironmentStatus.ContentPhase")] = None
    secret_name: Annotated[str | None, Wire(3, "string")] = None
    failure_message: Annotated[str | None, Wire(4, "string")] = None
    warning_message: Annotated[str | None, Wire(5, "string")] = None
    session: Annotated[str | None, Wire(6, "string")] = None


class EnvironmentStatus(Message, proto="gitpod.v1.EnvironmentStatus"):
    """What an environment is. Of two copies the one with the larger `status_version` is newer."""

    status_version: Annotated[Uint64 | None, Wire(1, "uint64")] = None
    runner_ack: Annotated[EnvironmentStatusRunnerACK | None, Wire(2, "EnvironmentStatus.RunnerACK")] = None
    phase: Annotated[EnvironmentPhase | None, Wire(3, "EnvironmentPhase")] = None
    failure_message: Annotated[tuple[str, ...], Wire(4, "repeated string")] = ()
    environment_urls: Annotated[
        EnvironmentStatusEnvironmentURLs | None, Wire(5, "EnvironmentStatus.EnvironmentURLs")
    ] = None
    machine: Annotated[EnvironmentStatusMachine | None, Wire(6, "EnvironmentStatus.Machine")] = None
    secrets: Annotated[tuple[EnvironmentStatusSecret, ...], Wire(7, "repeated EnvironmentStatus.Secret")] = ()
    content: Annotated[EnvironmentStatusContent | None, Wire(8, "EnvironmentStatus.Content")] = None
    devcontainer: Annotated[
        EnvironmentStatusDevContainer | None, Wire(9, "EnvironmentStatus.DevContainer")
    ] = None
    ssh_public_keys: Annotated[
        tuple[EnvironmentStatusSSHPublicKey, ...], Wire(10, "repeated EnvironmentStatus.SSHPublicKey")
    ] = ()
    warning_message: Annotated[tuple[str, ...], Wire(11, "repeated string")] = ()
    automations_file: Annotated[
        EnvironmentStatusAutomationsFile | None, Wire(12, "EnvironmentStatus.AutomationsFile")
    ] = None
    activity_signal: Annotated[EnvironmentActivitySignal | None, Wire(13, "EnvironmentActivitySignal")] = None
