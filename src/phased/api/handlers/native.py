"""`phased.v1.DaemonService`: what the public service has no method for.

Knows its messages and the engine's interfaces. Must not know HTTP.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from phased import loader
from phased.access.roles import read_role
from phased.access.tokens import DEFAULT_ROLE
from phased.api.calls import Call
from phased.api.handlers.environments import environment_message_of
from phased.api.handlers.executions import find_execution, narrow, shown_all
from phased.api.handlers.services import shown_service
from phased.api.paging import asked, count_of, listed, told
from phased.contract import phased_v1 as m
from phased.contract.execution import PlanStep, TaskExecutionPhase
from phased.contract.pagination import PaginationResponse
from phased.contract.resource import ResourceRole
from phased.contract.sort import SortOrder
from phased.core.access import TokenRecord
from phased.core.environment import ExecutionQuery
from phased.core.status import StepStatus
from phased.engine.definitions.messages import subject, time_of
from phased.ports import StoredExecution

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ENDED: Final = frozenset(
    {TaskExecutionPhase.SUCCEEDED, TaskExecutionPhase.FAILED, TaskExecutionPhase.STOPPED}
)
_CLEARING: Final = "what its commands left behind is being ended"


async def get_status(call: Call, request: m.GetStatusRequest) -> m.GetStatusResponse:
    """The daemon, and all that is alive in it."""
    house = call.house
    environment = request.environment_id and request.environment_id.lower()
    if environment is not None:
        house.environments.record(environment)
        call.see(environment, f"the environment {environment}")
    records = [one for one in house.environments.all() if environment in {None, one.id} and call.sees(one.id)]
    seen = {one.id for one in records}
    services = [live for live in house.automations.services() if live.record.environment_id in seen]
    alive = await house.executions.alive(seen)
    return m.GetStatusResponse.model_construct(
        daemon=house.daemon_message(),
        environments=tuple(environment_message_of(call, one) for one in records),
        services=tuple(shown_service(call, live) for live in services),
        task_executions=shown_all(call, alive),
    )


async def apply_file(call: Call, request: m.ApplyFileRequest) -> m.ApplyFileResponse:
    """Apply an automations file with this project's extensions. Raises InvalidFile."""
    environment = request.environment_id.lower()
    record = call.house.environments.record(environment)
    call.see(environment, f"the environment {environment}")
    lenient = bool(request.lenient)
    if request.content is not None:
        loaded = loader.read(None, text=request.content.encode(), lenient=lenient)
    else:
        loaded = loader.read(loader.find_own(Path(record.workspace)), lenient=lenient)
    definitions = loader.definitions(loaded)
    applied = await call.house.automations.apply(
        environment, definitions, call.started_by(), prune=bool(request.prune)
    )
    return m.ApplyFileResponse.model_construct(
        updated_service_ids=applied.service_ids,
        updated_task_ids=applied.task_ids,
        deleted_service_ids=applied.removed_service_ids,
        deleted_task_ids=applied.removed_task_ids,
        warnings=tuple(f"{one.line}:{one.column}: {one.message}" for one in loaded.diagnostics),
    )


async def set_output(call: Call, request: m.SetOutputRequest) -> m.SetOutputResponse:
    """A running step sets outputs; they are saved when this answers."""
    await find_execution(call, request.execution_id)
    await call.house.set_output(request.execution_id.lower(), request.step_id, request.output)
    return m.SetOutputResponse.model_construct()


async def query_task_executions(
    call: Call, request: m.QueryTaskExecutionsRequest
) -> m.QueryTaskExecutionsResponse:
    """Executions in an order of the caller's."""
    field = (request.sort.field if request.sort else None) or ""
    descending = request.sort.order is SortOrder.DESC if request.sort and field else True
    query = narrow(
        call,
        ExecutionQuery(
            environment_ids=tuple(one.lower() for one in request.environment_ids),
            references=request.references,
            phases=request.phases,
            triggers=request.started_by,
            created_from=_microseconds(request.created_from),
            created_before=_microseconds(request.created_before),
            sort=field or "createdAt",
            descending=descending,
        ),
    )
    if query is None:
        return m.QueryTaskExecutionsResponse.model_construct()
    counting = request.count is not None and bool(request.count.include)
    page = await call.house.executions.page(query, asked(request.pagination), counted=counting)
    count = None if page.count is None else count_of(page.count, exact=page.count_is_exact)
    return m.QueryTaskExecutionsResponse.model_construct(
        pagination=PaginationResponse.model_construct(next_token=page.next_token or None),
        task_executions=shown_all(call, page.entries),
        count=count,
    )


def _microseconds(moment: datetime | None) -> int | None:
    """Since the epoch."""
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


# ---- why --------------------------------------------------------------------------------------------


async def explain_execution(call: Call, request: m.ExplainExecutionRequest) -> m.ExplainExecutionResponse:
    """Why an execution and each of its steps stand where they do."""
    stored = await find_execution(call, request.id)
    return explained(stored)


def explained(stored: StoredExecution) -> m.ExplainExecutionResponse:
    """What is known of it, said for people."""
    status = stored.status
    steps = [step for group in stored.record.spec.plan for step in group.steps]
    labels = {step.id: step.label or "" for step in steps}
    known = {step.id: step for step in status.steps}
    ended = status.phase in _ENDED
    return m.ExplainExecutionResponse.model_construct(
        id=stored.record.id,
        phase=status.phase,
        cause=status.failure_message,
        why="; ".join(filter(None, [status.why, _CLEARING if status.clearing else None])) or None,
        steps=tuple(_explained_step(step, known, labels, ended=ended) for step in steps),
    )


def _explained_step(
    step: PlanStep, known: dict[str, StepStatus], labels: dict[str | None, str], *, ended: bool
) -> m.ExplainedStep:
    status = known.get(step.id or "")
    waits = [
        need
        for need in step.depends_on
        if (found := known.get(need)) is None or found.phase is not TaskExecutionPhase.SUCCEEDED
    ]
    cause = status.failure_message if status else None
    if status is None:
        cause = "it never started: the execution ended before its turn" if ended else "its turn has not come"
        waits = [] if ended else waits
    return m.ExplainedStep.model_construct(
        id=step.id,
        label=step.label,
        phase=status.phase if status else None,
        cause=cause,
        waits_for=tuple(labels.get(need, need) for need in waits) if status is None else (),
    )


# ---- tokens -----------------------------------------------------------------------------------------


async def create_token(call: Call, request: m.CreateTokenRequest) -> m.CreateTokenResponse:
    """A token for the caller's own use; shown this once."""
    house = call.house
    roles = frozenset(read_role(text, house.known_roles) for text in request.roles) or {DEFAULT_ROLE}
    environment = request.environment_id and request.environment_id.lower()
    if environment is not None:
        house.environments.record(environment)
    seconds = None if request.expires_in is None else request.expires_in.total_seconds()
    record, token = await house.tokens.create(
        call.caller, frozenset(roles), environment, seconds, description=request.description or ""
    )
    return m.CreateTokenResponse.model_construct(token=_token(record), value=token)


async def list_tokens(call: Call, request: m.ListTokensRequest) -> m.ListTokensResponse:
    """Those that the caller may see."""
    records = call.house.tokens.listed(call.caller)
    page = listed(records, lambda one: (one.created_at, one.id), "tokens", request.pagination)
    return m.ListTokensResponse.model_construct(
        pagination=told(page), tokens=tuple(_token(record) for record in page.entries)
    )


async def revoke_token(call: Call, request: m.RevokeTokenRequest) -> m.RevokeTokenResponse:
    """It is refused from now on; streams that it opened end."""
    await call.house.tokens.revoke(request.id.lower(), call.caller)
    return m.RevokeTokenResponse.model_construct()


def _token(record: TokenRecord) -> m.Token:
    known = {role.value: role for role in ResourceRole}
    return m.Token.model_construct(
        id=record.id,
        roles=tuple(known[name] for name in record.roles if name in known),
        environment_id=record.environment_id,
        created_at=time_of(record.created_at),
        expires_at=time_of(record.expires_at),
        creator=subject(record.creator_id, record.creator_principal),
        description=record.description or None,
    )
