"""What environments run on: here, a daemon."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire
from phased.contract.field_value import FieldValue
from phased.contract.gateway import GatewayInfo
from phased.contract.subject import Subject
from phased.contract.values import Bool, Bytes, PublicKey, Timestamp, Uint32, Uuid


class RunnerKind(Name):
    """Where a runner is managed."""

    UNSPECIFIED = "RUNNER_KIND_UNSPECIFIED"
    LOCAL = "RUNNER_KIND_LOCAL"
    REMOTE = "RUNNER_KIND_REMOTE"
    LOCAL_CONFIGURATION = "RUNNER_KIND_LOCAL_CONFIGURATION"


class RunnerProvider(Name):
    """What a runner runs on."""

    UNSPECIFIED = "RUNNER_PROVIDER_UNSPECIFIED"
    AWS_EC2 = "RUNNER_PROVIDER_AWS_EC2"
    LINUX_HOST = "RUNNER_PROVIDER_LINUX_HOST"
    DESKTOP_MAC = "RUNNER_PROVIDER_DESKTOP_MAC"
    MANAGED = "RUNNER_PROVIDER_MANAGED"
    GCP = "RUNNER_PROVIDER_GCP"
    DEV_AGENT = "RUNNER_PROVIDER_DEV_AGENT"


class RunnerPhase(Name):
    """Where a runner stands."""

    UNSPECIFIED = "RUNNER_PHASE_UNSPECIFIED"
    CREATED = "RUNNER_PHASE_CREATED"
    INACTIVE = "RUNNER_PHASE_INACTIVE"
    ACTIVE = "RUNNER_PHASE_ACTIVE"
    DELETING = "RUNNER_PHASE_DELETING"
    DELETED = "RUNNER_PHASE_DELETED"
    DEGRADED = "RUNNER_PHASE_DEGRADED"


class RunnerVariant(Name):
    """The editions of a runner."""

    UNSPECIFIED = "RUNNER_VARIANT_UNSPECIFIED"
    STANDARD = "RUNNER_VARIANT_STANDARD"
    ENTERPRISE = "RUNNER_VARIANT_ENTERPRISE"


class RunnerReleaseChannel(Name):
    """Which releases a runner follows."""

    UNSPECIFIED = "RUNNER_RELEASE_CHANNEL_UNSPECIFIED"
    STABLE = "RUNNER_RELEASE_CHANNEL_STABLE"
    LATEST = "RUNNER_RELEASE_CHANNEL_LATEST"


class RunnerCapability(Name):
    """What a runner can do. Numbers are those of protobuf."""

    UNSPECIFIED = "RUNNER_CAPABILITY_UNSPECIFIED"
    FETCH_LOCAL_SCM_INTEGRATIONS = "RUNNER_CAPABILITY_FETCH_LOCAL_SCM_INTEGRATIONS"
    SECRET_CONTAINER_REGISTRY = "RUNNER_CAPABILITY_SECRET_CONTAINER_REGISTRY"  # noqa: S105 - the name of a kind, no secret
    AGENT_EXECUTION = "RUNNER_CAPABILITY_AGENT_EXECUTION"
    ALLOW_ENV_TOKEN_POPULATION = "RUNNER_CAPABILITY_ALLOW_ENV_TOKEN_POPULATION"  # noqa: S105 - the name of a kind, no secret
    DEFAULT_DEV_CONTAINER_IMAGE = "RUNNER_CAPABILITY_DEFAULT_DEV_CONTAINER_IMAGE"
    ENVIRONMENT_SNAPSHOT = "RUNNER_CAPABILITY_ENVIRONMENT_SNAPSHOT"
    PREBUILDS_BEFORE_SNAPSHOT_TRIGGER = "RUNNER_CAPABILITY_PREBUILDS_BEFORE_SNAPSHOT_TRIGGER"
    LIST_SCM_ORGANIZATIONS = "RUNNER_CAPABILITY_LIST_SCM_ORGANIZATIONS"
    CHECK_REPOSITORY_ACCESS = "RUNNER_CAPABILITY_CHECK_REPOSITORY_ACCESS"
    RUNNER_SIDE_AGENT = "RUNNER_CAPABILITY_RUNNER_SIDE_AGENT"
    WARM_POOL = "RUNNER_CAPABILITY_WARM_POOL"
    ASG_WARM_POOL = "RUNNER_CAPABILITY_ASG_WARM_POOL"
    PORT_AUTHENTICATION = "RUNNER_CAPABILITY_PORT_AUTHENTICATION"
    HORIZONTAL_SCALING = "RUNNER_CAPABILITY_HORIZONTAL_SCALING"
    AGENT_EXECUTION_CNF = "RUNNER_CAPABILITY_AGENT_EXECUTION_CNF"
    REDIS_STREAM = "RUNNER_CAPABILITY_REDIS_STREAM"
    DYNAMIC_LLM_REQUEST_HEADERS = "RUNNER_CAPABILITY_DYNAMIC_LLM_REQUEST_HEADERS", 18


class LogLevel(Name):
    """How much is logged."""

    UNSPECIFIED = "LOG_LEVEL_UNSPECIFIED"
    DEBUG = "LOG_LEVEL_DEBUG"
    INFO = "LOG_LEVEL_INFO"
    WARN = "LOG_LEVEL_WARN"
    ERROR = "LOG_LEVEL_ERROR"


class UpdateWindow(Message, proto="gitpod.v1.UpdateWindow"):
    """The hours of a day (UTC) between which a runner may update itself."""

    start_hour: Annotated[Uint32 | None, Wire(1, "optional uint32")] = None
    end_hour: Annotated[Uint32 | None, Wire(2, "optional uint32")] = None


class MetricsConfiguration(Message, proto="gitpod.v1.MetricsConfiguration"):
    """Where metrics are sent."""

    enabled: Annotated[Bool | None, Wire(1, "bool")] = None
    url: Annotated[str | None, Wire(2, "string")] = None
    username: Annotated[str | None, Wire(3, "string")] = None
    password: Annotated[str | None, Wire(4, "string")] = None
    managed_metrics_enabled: Annotated[Bool | None, Wire(5, "bool")] = None
    include_verbose_metrics: Annotated[Bool | None, Wire(6, "bool")] = None


class RunnerConfiguration(Message, proto="gitpod.v1.RunnerConfiguration"):
    """How a runner is set up."""

    region: Annotated[str | None, Wire(1, "string")] = None
    release_channel: Annotated[RunnerReleaseChannel | None, Wire(2, "RunnerReleaseChannel")] = None
    auto_update: Annotated[Bool | None, Wire(3, "bool")] = None
    metrics: Annotated[MetricsConfiguration | None, Wire(4, "MetricsConfiguration")] = None
    log_level: Annotated[LogLevel | None, Wire(5, "LogLevel")] = None
    devcontainer_image_cache_enabled: Annotated[Bool | None, Wire(6, "bool")] = None
    update_window: Annotated[UpdateWindow | None, Wire(7, "UpdateWindow")] = None
    encrypted_honeycomb_api_key: Annotated[Bytes | None, Wire(8, "bytes")] = None
    continuous_profiling: Annotated[Bool | None, Wire(9, "bool")] = None


class RunnerSpec(Message, proto="gitpod.v1.RunnerSpec"):
    """What a runner should be."""

    desired_phase: Annotated[RunnerPhase | None, Wire(1, "RunnerPhase")] = None
    configuration: Annotated[RunnerConfiguration | None, Wire(2, "RunnerConfiguration")] = None
    variant: Annotated[RunnerVariant | None, Wire(3, "RunnerVariant")] = None


class RunnerStatus(Message, proto="gitpod.v1.RunnerStatus"):
    """What a runner is."""

    updated_at: Annotated[Timestamp | None, Wire(1, "google.protobuf.Timestamp")] = None
    version: Annotated[str | None, Wire(2, "string")] = None
    system_details: Annotated[str | None, Wire(3, "string")] = None
    phase: Annotated[RunnerPhase | None, Wire(4, "RunnerPhase")] = None
    log_url: Annotated[str | None, Wire(5, "string")] = None
    message: Annotated[str | None, Wire(6, "string")] = None
    region: Annotated[str | None, Wire(7, "string")] = None
    additional_info: Annotated[tuple[FieldValue, ...], Wire(8, "repeated FieldValue")] = ()
    capabilities: Annotated[tuple[RunnerCapability, ...], Wire(9, "repeated RunnerCapability")] = ()
    gateway_info: Annotated[GatewayInfo | None, Wire(10, "GatewayInfo")] = None
    llm_url: Annotated[str | None, Wire(11, "string")] = None
    public_key: Annotated[PublicKey | None, Wire(12, "bytes")] = None
    support_bundle_url: Annotated[str | None, Wire(13, "string")] = None


class Runner(Message, proto="gitpod.v1.Runner"):
    """A runner."""

    runner_id: Annotated[str | None, Wire(1, "string")] = None
    created_at: Annotated[Timestamp | None, Wire(2, "google.protobuf.Timestamp")] = None
    updated_at: Annotated[Timestamp | None, Wire(3, "google.protobuf.Timestamp")] = None
    name: Annotated[str | None, Wire(4, "string")] = None
    spec: Annotated[RunnerSpec | None, Wire(5, "RunnerSpec")] = None
    status: Annotated[RunnerStatus | None, Wire(6, "RunnerStatus")] = None
    creator: Annotated[Subject | None, Wire(7, "Subject")] = None
    kind: Annotated[RunnerKind | None, Wire(8, "RunnerKind")] = None
    provider: Annotated[RunnerProvider | None, Wire(9, "RunnerProvider")] = None
    runner_manager_id: Annotated[Uuid | None, Wire(10, "string")] = None
