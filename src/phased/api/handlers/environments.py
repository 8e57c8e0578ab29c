"""Environments of the public service, and the tokens for their logs and for themselves.

Knows their messages and the engine's environments. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from phased.api.calls import Call
from phased.api.paging import counted, listed, told
from phased.contract import environment_calls as m
from phased.contract import environment_update as u
from phased.contract.environment import Environment
from phased.contract.environment_calls import ListEnvironmentsRequestArchivalStatus as Archival
from phased.contract.environment_calls import ListEnvironmentsRequestSortField as SortField
from phased.contract.environment_phase import EnvironmentRole
from phased.contract.runner import RunnerKind
from phased.contract.sort import SortOrder
from phased.core.environment import EnvironmentRecord
from phased.engine.environments.view import environment_message
from phased.engine.paging import Key

_KIND: Final = RunnerKind.LOCAL


async def get_environment(call: Call, request: m.GetEnvironmentRequest) -> m.GetEnvironmentResponse:
    """One environment."""
    record = find_environment(call, request.environment_id)
    return m.GetEnvironmentResponse.model_construct(environment=environment_message_of(call, record))


async def list_environments(call: Call, request: m.ListEnvironmentsRequest) -> m.ListEnvironmentsResponse:
    """Environments, oldest first unless asked otherwise."""
    wants = _wanted(call, request.filter or m.ListEnvironmentsRequestFilter())
    found = [record for record in call.house.environments.all() if call.sees(record.id) and wants(record)]
    key, order = _order(request.sort)
    page = listed(found, key, order, request.pagination)
    return m.ListEnvironmentsResponse.model_construct(
        pagination=told(page),
        environments=tuple(environment_message_of(call, record) for record in page.entries),
        count=counted(request.count, found),
    )


async def create_environment(call: Call, request: m.CreateEnvironmentRequest) -> m.CreateEnvironmentResponse:
    """A new environment; it is filled and started after this answers."""
    origin = call.started_by()
    record = await call.house.environments.create(request, origin)
    return m.CreateEnvironmentResponse.model_construct(environment=environment_message_of(call, record))


async def update_environment(call: Call, request: u.UpdateEnvironmentRequest) -> u.UpdateEnvironmentResponse:
    """Change its name, and what it should be."""
    find_environment(call, request.environment_id)
    await call.house.environments.update(
        request.model_copy(update={"environment_id": request.environment_id.lower()})
    )
    return u.UpdateEnvironmentResponse.model_construct()


async def start_environment(call: Call, request: m.StartEnvironmentRequest) -> m.StartEnvironmentResponse:
    """Ask it to be at work; does not wait for it."""
    await call.house.environments.start(find_environment(call, request.environment_id).id)
    return m.StartEnvironmentResponse.model_construct()


async def stop_environment(call: Call, request: m.StopEnvironmentRequest) -> m.StopEnvironmentResponse:
    """Ask all its steps and services to end; does not wait for it."""
    await call.house.environments.stop(find_environment(call, request.environment_id).id)
    return m.StopEnvironmentResponse.model_construct()


async def delete_environment(call: Call, request: m.DeleteEnvironmentRequest) -> m.DeleteEnvironmentResponse:
    """Stop it and remove it; does not wait for it."""
    record = find_environment(call, request.environment_id)
    await call.house.environments.delete(record.id, force=bool(request.force))
    return m.DeleteEnvironmentResponse.model_construct()


async def mark_environment_active(
    call: Call, request: m.MarkEnvironmentActiveRequest
) -> m.MarkEnvironmentActiveResponse:
    """Something in it was active."""
    record = find_environment(call, request.environment_id)
    await call.house.environments.mark_active(record.id, request.activity_signal)
    return m.MarkEnvironmentActiveResponse.model_construct()


async def create_logs_token(
    call: Call, request: m.CreateEnvironmentLogsTokenRequest
) -> m.CreateEnvironmentLogsTokenResponse:
    """A token that reads the logs of this environment, for an hour."""
    record = find_environment(call, request.environment_id)
    token = call.house.access.logs_token(record.id, call.caller)
    return m.CreateEnvironmentLogsTokenResponse.model_construct(access_token=token)


async def create_access_token(
    call: Call, request: m.CreateEnvironmentAccessTokenRequest
) -> m.CreateEnvironmentAccessTokenResponse:
    """A token that uses this environment, for an hour."""
    record = find_environment(call, request.environment_id)
    token = call.house.access.environment_token(record.id, call.caller)
    return m.CreateEnvironmentAccessTokenResponse.model_construct(access_token=token)


def find_environment(call: Call, environment_id: str) -> EnvironmentRecord:
    """An environment that the caller may do this with. Raises NotFound, PermissionDenied."""
    record = call.house.environments.record(environment_id.lower())
    call.see(record.id, f"the environment {environment_id}")
    return record


def environment_message_of(call: Call, record: EnvironmentRecord) -> Environment:
    """As the API shows it."""
    installation = call.house.installation
    return environment_message(
        record, organization_id=installation.organization_id, runner_id=installation.runner_id
    )


def _wanted(call: Call, asked: m.ListEnvironmentsRequestFilter) -> Callable[[EnvironmentRecord], bool]:
    """Whether a record is wanted; an empty field narrows nothing. None is archived or of a project."""
    runner = call.house.installation.runner_id
    none = (
        (asked.runner_ids and runner not in asked.runner_ids)
        or (asked.runner_kinds and _KIND not in asked.runner_kinds)
        or asked.project_ids
        or asked.lockdown_before
        or asked.archival_status is Archival.ARCHIVED
        or (asked.roles and EnvironmentRole.DEFAULT not in asked.roles)
    )
    before = None
    if asked.created_before is not None:
        before = round(asked.created_before.timestamp() * 1_000_000)
    text = (asked.search or "").casefold()
    return lambda record: (
        not none
        and (not asked.status_phases or record.phase in asked.status_phases)
        and (not asked.creator_ids or record.creator_id in asked.creator_ids)
        and (not asked.session_ids or record.session_id in asked.session_ids)
        and (before is None or record.created_at < before)
        and (not text or text in record.name.casefold() or text in record.context_url.casefold())
    )


def _order(sort: m.ListEnvironmentsRequestSort | None) -> tuple[Callable[[EnvironmentRecord], Key], str]:
    """By what, and the name of that order. Nothing is archived, so that by ARCHIVED_AT the ids decide."""
    field = (sort.field if sort else None) or SortField.UNSPECIFIED
    down = sort is not None and sort.order is SortOrder.DESC
    if field is SortField.UNSPECIFIED:
        sign = -1 if down else 1
        return lambda record: (sign * record.created_at, record.id), f"environments created {sign}"
    if field is SortField.ID and down:
        return lambda record: (-int(record.id.replace("-", "")[:15], 16), record.id), "environments id down"
    return lambda record: ("", record.id), "environments id"
