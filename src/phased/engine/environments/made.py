"""Records of new environments: of a user's directory, and of a workspace that is still to be filled. Pure.

Knows requests, classes and sources. Must not know stores or what is done with a record.
"""

from __future__ import annotations

from pathlib import Path

from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.contract.environment_spec import EnvironmentSpec, EnvironmentSpecMachine
from phased.core.environment import EnvironmentRecord
from phased.core.specs import environment_id
from phased.engine.engine import Origin
from phased.engine.environments.classes import EnvironmentClasses
from phased.engine.environments.sources import sources_of
from phased.ports import Clock


def of_user(workspace: Path, class_id: str, origin: Origin, clock: Clock) -> EnvironmentRecord:
    """The environment of a directory that a user gave: it has its content, and counts as started now."""
    now, path = clock.wall(), str(workspace)
    spec = EnvironmentSpec(machine=EnvironmentSpecMachine(class_=class_id))
    return EnvironmentRecord(
        environment_id(path), workspace.name or "/", path, False, Phase.RUNNING, Phase.RUNNING, now,
        origin.creator_id, origin.creator_principal, spec, now, has_content=True, last_started_at=now,
        started_boot=clock.boot_id(),
    )  # fmt: skip


def scratch(
    identifier: str,
    workspace: Path,
    request: CreateEnvironmentRequest,
    classes: EnvironmentClasses,
    origin: Origin,
    now: int,
) -> EnvironmentRecord:
    """The environment that is asked for. Raises InvalidArgument, FailedPrecondition (a disabled class)."""
    asked = request.spec or EnvironmentSpec()
    sources = sources_of(asked.content.initializer if asked.content else None)
    chosen = classes.choose((asked.machine.class_ if asked.machine else None) or "")
    machine = (asked.machine or EnvironmentSpecMachine()).model_copy(update={"class_": chosen.id})
    spec = asked.model_copy(update={"machine": machine, "spec_version": None, "desired_phase": None})
    name = request.name or (sources[0].name if sources else "") or f"environment-{identifier[:8]}"
    desired = Phase.STOPPED if asked.desired_phase is Phase.STOPPED else Phase.RUNNING
    return EnvironmentRecord(
        identifier, name[:80], str(workspace), True, Phase.CREATING, desired, now, origin.creator_id,
        origin.creator_principal, spec, now, annotations=dict(request.annotations),
        context_url=sources[0].shown if sources else "", session_id=request.session_id or "",
    )  # fmt: skip
