"""From the checked values of a file to its definitions.

Knows the contract's definitions and the names of keys; everything that comes in has been checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from phased.contract.definitions import (
    Definitions,
    EnvironmentEntry,
    Restart,
    Retries,
    ServiceDefinition,
    TaskDefinition,
)
from phased.contract.runs_on import Docker, Machine, RunsOn

Values = Mapping[str, Any]
"""What the reader gave for a mapping: its keys in the file's spelling, without those that say nothing."""


def build(values: Values) -> Definitions:
    """The definitions of a whole file, in its order."""
    return Definitions(
        tasks=tuple(_task(reference, entry) for reference, entry in values.get("tasks", {}).items()),
        services=tuple(_service(reference, entry) for reference, entry in values.get("services", {}).items()),
    )


def _task(reference: str, values: Values) -> TaskDefinition:
    return TaskDefinition(
        reference=reference,
        name=values.get("name") or reference,
        description=values.get("description"),
        command=values.get("command", ""),
        depends_on=tuple(values.get("dependsOn", ())),
        triggered_by=tuple(values.get("triggeredBy", ())),
        runs_on=_runs_on(values.get("runsOn")),
        prebuild_requires_success=values.get("prebuildRequiresSuccess"),
        env=_env(values),
        timeout=values.get("timeout") or None,
        retries=_retries(values.get("retries")),
    )


def _service(reference: str, values: Values) -> ServiceDefinition:
    commands = values["commands"]
    return ServiceDefinition(
        reference=reference,
        name=values.get("name") or reference,
        description=values.get("description"),
        start=commands["start"],
        ready=commands.get("ready", ""),
        stop=commands.get("stop", ""),
        triggered_by=tuple(values.get("triggeredBy", ())),
        runs_on=_runs_on(values.get("runsOn")),
        role=values.get("role", ""),
        readiness_timeout=values.get("readinessTimeout"),
        env=_env(values),
        depends_on=tuple(values.get("dependsOn", ())),
        restart=_restart(values.get("restart")),
    )


def _env(values: Values) -> tuple[EnvironmentEntry, ...]:
    return tuple(
        EnvironmentEntry(name=name, secret=value["secret"])
        if isinstance(value, Mapping)
        else EnvironmentEntry(name=name, value=value)
        for name, value in values.get("env", {}).items()
    )


def _runs_on(values: Values | None) -> RunsOn | None:
    if not values:
        return None
    if "docker" not in values:
        return RunsOn(machine=Machine())
    docker = values["docker"]
    return RunsOn(docker=Docker(image=docker["image"], environment=tuple(docker.get("environment", ()))))


def _retries(values: int | Values | None) -> Retries | None:
    if values is None:
        return None
    if isinstance(values, int):
        return Retries(limit=values)
    said = {"backoff": values["backoff"]} if "backoff" in values else {}
    return Retries(limit=values["limit"], exit_codes=tuple(values.get("exitCodes", ())), **said)


def _restart(values: str | Values | None) -> Restart | None:
    if values is None:
        return None
    said = {"policy": values} if isinstance(values, str) else dict(values)
    return Restart.model_validate(said)
