"""An environment's record after an update over the API: what is absent stays. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from phased.contract.environment_spec import (
    EnvironmentSpec,
    EnvironmentSpecAutomationsFile,
    EnvironmentSpecContent,
    EnvironmentSpecDevContainer,
    EnvironmentSpecSSHPublicKey,
    EnvironmentSpecTimeout,
)
from phased.contract.environment_update import UpdateEnvironmentRequest, UpdateEnvironmentRequestSpec
from phased.core.environment import EnvironmentRecord
from phased.engine.environments.sources import sources_of
from phased.errors import InvalidArgument


def changed(record: EnvironmentRecord, request: UpdateEnvironmentRequest) -> EnvironmentRecord:
    """The record with what is asked for. Raises InvalidArgument."""
    name = request.metadata.name if request.metadata else None
    if name == "":
        raise InvalidArgument("cannot change metadata.name to nothing; give a name")
    spec = _spec(record.spec, request.spec) if request.spec else record.spec
    return replace(record, name=name or record.name, spec=spec)


def _spec(spec: EnvironmentSpec, asked: UpdateEnvironmentRequestSpec) -> EnvironmentSpec:
    new: dict[str, Any] = {}
    if asked.content is not None:
        sources_of(asked.content.initializer)
        new["content"] = _over(spec.content or EnvironmentSpecContent(), asked.content)
    if asked.devcontainer is not None:
        new["devcontainer"] = _over(spec.devcontainer or EnvironmentSpecDevContainer(), asked.devcontainer)
    if asked.automations_file is not None:
        known = spec.automations_file or EnvironmentSpecAutomationsFile()
        new["automations_file"] = _over(known, asked.automations_file)
    if asked.timeout is not None:
        new["timeout"] = _over(spec.timeout or EnvironmentSpecTimeout(), asked.timeout)
    if asked.ports:
        new["ports"] = asked.ports
    if asked.ssh_public_keys:
        new["ssh_public_keys"] = tuple(
            EnvironmentSpecSSHPublicKey(id=key.id, value=key.value)
            for key in asked.ssh_public_keys
            if key.value
        )
    if asked.kernel_controls_config is not None:
        new["kernel_controls_config"] = asked.kernel_controls_config
    return spec.model_copy(update=new)


def _over(known: Any, asked: Any) -> Any:  # noqa: ANN401 - two messages that have the same fields
    given = {name: value for name in type(asked).model_fields if (value := getattr(asked, name)) is not None}
    return known.model_copy(update=given)
