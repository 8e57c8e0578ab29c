"""The native service's methods that the page needs: logging in, the automations file, an overview.

Knows their messages, the loader and the engine's interfaces. Must not know HTTP, nor any page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

import anyio.to_thread

from phased import loader
from phased.access.roles import read_role
from phased.api.calls import Call
from phased.api.handlers.environments import find_environment
from phased.api.web_logins import PATIENCE, widest
from phased.contract import phased_v1_web as m
from phased.contract.definitions import Definitions, ServiceDefinition, TaskDefinition
from phased.core import planner
from phased.core.environment import EnvironmentRecord, LastRun
from phased.core.service_phases import RESTING
from phased.core.specs import Catalog
from phased.engine.definitions.messages import time_of
from phased.engine.services.live import LiveService
from phased.errors import FailedPrecondition, FileUnreadable
from phased.loader import files

_LINE_END: Final = re.compile("\r\n|\r|\n")
"""As the loader counts lines."""
_OUTSIDE: Final = (
    "cannot use this file, and cannot show why: it is a link that leads out of the workspace; "
    "`phased validate` says it"
)
_LONGEST: Final = 200
"""Characters of a line of a file that are shown."""


async def create_web_login(call: Call, request: m.CreateWebLoginRequest) -> m.CreateWebLoginResponse:
    """An address that logs in to the page, once."""
    house = call.house
    if house.web_logins is None:
        raise FailedPrecondition(
            "cannot log in to the page: the daemon does not serve it; start it as `phased serve --web`, or "
            "set web.enabled"
        )
    environment = request.environment_id and request.environment_id.lower()
    if environment is not None:
        house.environments.record(environment)
    asked = frozenset(read_role(text, house.known_roles) for text in request.roles)
    roles = asked or widest(call.caller, environment, house.known_roles)
    address = house.web_logins.create(call.caller, roles, environment)
    ends = time_of(house.clock.wall())
    return m.CreateWebLoginResponse.model_construct(
        address=address, expires_at=None if ends is None else ends + timedelta(seconds=PATIENCE)
    )


# ---- the automations file ---------------------------------------------------------------------------


async def check_file(call: Call, request: m.CheckFileRequest) -> m.CheckFileResponse:
    """What is wrong with the automations file of an environment; it is not applied."""
    record = find_environment(call, request.environment_id)
    read = await anyio.to_thread.run_sync(_read, record)
    if read is None:
        return m.CheckFileResponse.model_construct()
    problems = tuple(_problem(one, read.lines) for one in read.loaded.diagnostics)
    if not read.inside and problems:
        problems = (m.FileProblem.model_construct(line=1, column=1, message=_OUTSIDE),)
    differs: tuple[str, ...] = ()
    if read.loaded.definitions is not None:
        differs = _differs(read.loaded.definitions, call.house.automations.catalog(record.id))
    return m.CheckFileResponse.model_construct(file=read.name, problems=problems, differs=differs)


@dataclass(frozen=True, slots=True)
class _Read:
    """An automations file: its path in the workspace, what it says, its lines."""

    name: str
    loaded: loader.LoadedFile
    lines: list[str]
    inside: bool
    """No link leads out of the workspace: else it might be anything, and nothing of it is shown."""


def _read(record: EnvironmentRecord) -> _Read | None:
    """None where there is none that can be read."""
    workspace = Path(record.workspace)
    try:
        file = workspace / record.automations_file if record.automations_file else loader.find(workspace)
        loaded, lines = _understood(file.resolve(), _signature(file))
    except (FileUnreadable, OSError):
        return None
    inside = file.resolve().is_relative_to(workspace.resolve())
    return _Read(os.path.relpath(file, workspace), loaded, lines, inside)


def _signature(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@lru_cache(maxsize=8)
def _understood(file: Path, signature: tuple[int, ...]) -> tuple[loader.LoadedFile, list[str]]:  # noqa: ARG001 - for the cache
    """What a file says, and its lines. It is read once a change: pages ask again and again."""
    content = files.read_bytes(file)
    return loader.read(None, text=content, lenient=True), _LINE_END.split(content.decode("utf-8", "replace"))


def _problem(one: loader.Diagnostic, lines: list[str]) -> m.FileProblem:
    line = lines[one.line - 1] if one.line <= len(lines) else ""
    return m.FileProblem.model_construct(
        line=one.line,
        column=one.column,
        path=one.path or None,
        message=one.message,
        hint=one.hint or None,
        excerpt=line[:_LONGEST] or None,
        warning=one.severity == "warning" or None,
    )


def _differs(file: Definitions, defined: Catalog) -> tuple[str, ...]:
    """References whose definitions are other ones than those that are at work, or are not there."""
    known: dict[str, TaskDefinition | ServiceDefinition] = {**defined.tasks, **defined.services}
    wanted: list[TaskDefinition | ServiceDefinition] = [*file.tasks, *file.services]
    return tuple(one.reference for one in wanted if known.get(one.reference) != one)


# ---- an overview ------------------------------------------------------------------------------------


async def list_automations(call: Call, request: m.ListAutomationsRequest) -> m.ListAutomationsResponse:
    """Every task and service of an environment, with what it needs and how it went last."""
    record = find_environment(call, request.environment_id)
    automations = call.house.automations
    depths = planner.depths(automations.catalog(record.id).needs)
    tasks = automations.tasks_of(record.id)
    last = await call.house.executions.last_runs([one.id for one in tasks])
    made = [
        _automation(one.definition, one.id, depths).model_copy(update={"last_run": _run(last.get(one.id))})
        for one in tasks
    ]
    made += [_service(live, depths) for live in automations.services_of(record.id)]
    return m.ListAutomationsResponse.model_construct(automations=tuple(made))


def _automation(
    definition: TaskDefinition | ServiceDefinition, identifier: str, depths: Mapping[str, int]
) -> m.Automation:
    return m.Automation.model_construct(
        id=identifier,
        reference=definition.reference,
        name=definition.name,
        description=definition.description,
        depends_on=definition.depends_on,
        triggered_by=definition.triggered_by,
        group=depths.get(definition.reference, 0),
    )


def _service(live: LiveService, depths: Mapping[str, int]) -> m.Automation:
    progress = live.progress
    resting = progress.state in RESTING
    more = {
        "service": True,
        "outdated": progress.outdated or None,
        "service_phase": progress.phase,
        "service_since": time_of(progress.completed_at if resting else progress.started_at),
        "failure_message": progress.cause,
        "session": progress.session or None,
    }
    return _automation(live.definition, live.id, depths).model_copy(update=more)


def _run(last: LastRun | None) -> m.AutomationRun | None:
    if last is None:
        return None
    return m.AutomationRun.model_construct(
        id=last.id,
        phase=last.phase,
        created_at=time_of(last.created_at),
        started_at=time_of(last.started_at),
        completed_at=time_of(last.completed_at),
        failure_message=last.failure_message,
        started_by=last.started_by,
    )
