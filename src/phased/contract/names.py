"""Where this contract differs from its two sources: in names, and in what it accepts.

The sources are the public API's messages (`gitpod.v1`) and the shared models of its documentation. The
contract is their union; what is not in these tables is the same here. A test holds the tables to both.

A class has the name that its message or enum has in protobuf, without the dots (`ServiceSpec.Commands` is
`ServiceSpecCommands`), and a member of an enum its value without the prefix (`PENDING`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLASS_NAMES: Final[Mapping[str, str]] = {
    "gitpod.v1.RunsOn.Docker": "Docker",
    "gitpod.v1.RunsOn.Machine": "Machine",
    "gitpod.v1.TaskExecutionSpec.Group": "Plan",
    "gitpod.v1.TaskExecutionSpec.Step": "PlanStep",
    "gitpod.v1.TaskExecutionSpec.Task": "PlanStepTask",
}
"""The classes that are called as the shared models call them, by the message's name in protobuf."""

SHARED_NAMES: Final[Mapping[str, str]] = {"Step": "TaskExecutionStatusStep"}
"""The shared models that have another name here: a bare `Step` could be a plan's or a status's."""

ONLY_SHARED: Final = (
    "ErrorCode",
    "OrganizationRole",
    "OrganizationTier",
    "ResourceRole",
    "State",
    "UserStatus",
)
"""The enums that the shared models have and no message uses. They are told by their values there."""

NEWER_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "ResourceType": ("RESOURCE_TYPE_SECURITY_POLICY",),
}
"""The values of enums that the messages have and the shared models do not."""

MAY_BE_MISSING: Final[Mapping[str, str]] = {
    "gitpod.v1.AutomationsFile.Service.name": "the reference takes its place",
    "gitpod.v1.AutomationsFile.Task.command": "a task without a command joins its dependencies",
    "gitpod.v1.AutomationsFile.Task.name": "the reference takes its place",
    "gitpod.v1.EnvironmentClass.description": "optional in the shared model",
    "gitpod.v1.EnvironmentClass.display_name": "optional in the shared model",
    "gitpod.v1.EnvironmentMetadata.organization_id": "an answer needs no organization",
    "gitpod.v1.RunnerStatus.public_key": "an answer needs no key",
    "gitpod.v1.Secret.project_id": "the secret of a user has no project",
    "gitpod.v1.ServiceMetadata.name": "the reference takes its place",
    "gitpod.v1.Task.environment_id": "optional in the shared model",
    "gitpod.v1.TaskExecutionMetadata.environment_id": "optional in the shared model",
    "gitpod.v1.TaskExecutionMetadata.task_id": "optional in the shared model",
    "gitpod.v1.TaskExecutionSpec.Step.id": "optional in the shared model",
    "gitpod.v1.TaskExecutionSpec.Task.id": "optional in the shared model",
    "gitpod.v1.TaskExecutionStatus.Step.id": "optional in the shared model",
    "gitpod.v1.TaskMetadata.name": "the reference takes its place",
    "gitpod.v1.WatchEventsRequest.scope": "the organization is meant",
    "gitpod.v1.WatchEventsResponse.resource_id": "an empty event keeps a stream alive",
}
"""The fields that may be absent, or empty, though a rule of the message refuses the empty value, and the
oneofs of which none need be set; each with its reason. The rule holds for every other value."""

NEEDED: Final[Mapping[str, str]] = {
    "gitpod.v1.EnvironmentClass.id": "the shared model has it always, the message has no rule",
    "gitpod.v1.EnvironmentClass.runner_id": "the shared model has it always, the message has no rule",
    "gitpod.v1.EnvironmentVariableItem.name": "optional in the shared model, not by the message's rule",
    "gitpod.v1.RunsOn.Docker.image": "optional in the shared model, not by the message's rule",
    "gitpod.v1.SecretRef.id": "optional in the shared model, not by the message's rule",
    "gitpod.v1.TaskMetadata.reference": "optional in the shared model, not by the message's rule",
}
"""The fields that must be there though one of the sources lets them be absent; each with its reason."""

MORE_VALUES: Final[Mapping[str, tuple[str, ...]]] = {
    "gitpod.v1.AutomationsFile.Service.triggered_by": ("postMachineStart",),
    "gitpod.v1.AutomationsFile.Task.triggered_by": ("postMachineStart", "beforeSnapshot"),
}
"""The values that are accepted beside those of the message's rule."""
