"""The native service's look at logs: how large each is. Knows where they lie; must not read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio.to_thread

from phased.api.calls import Call
from phased.api.logs import Logs
from phased.contract import phased_v1_logs as m
from phased.engine.services.performer import SERVICE_LOGS
from phased.errors import InvalidArgument
from phased.logs.reading import Extent, extent


async def describe_logs(call: Call, request: m.DescribeLogsRequest) -> m.DescribeLogsResponse:
    """The logs of an execution or a service. Raises InvalidArgument, NotFound, PermissionDenied."""
    match request.task_execution_id, request.service_id:
        case str(execution_id), None:
            return await _of_execution(call, execution_id.lower())
        case None, str(service_id):
            return await _of_service(call, service_id.lower())
        case _:
            raise InvalidArgument("cannot describe logs: name one of taskExecutionId and serviceId")


async def _of_execution(call: Call, execution_id: str) -> m.DescribeLogsResponse:
    logs = await call.house.logs_of_execution(call, execution_id, None)
    stored = await call.house.executions.get(execution_id)
    steps = [step for group in stored.record.spec.plan for step in group.steps]
    phases = {step.id: step.phase for step in stored.status.steps}
    extents = await _extents(logs)
    return m.DescribeLogsResponse.model_construct(
        logs=tuple(
            m.DescribedLog.model_construct(
                id=step.id,
                label=step.label,
                phase=phases.get(step.id or ""),
                size=found.size or None,
                first_byte=found.first or None,
            )
            for step, found in zip(steps, extents, strict=True)
        ),
        ended=logs.ended is None or None,
    )


async def _of_service(call: Call, service_id: str) -> m.DescribeLogsResponse:
    found: list[m.DescribedLog] = []
    ended = True
    for part in SERVICE_LOGS:
        logs = await call.house.logs_of_service(call, service_id, part)
        session = call.house.automations.service(service_id).progress.session
        ended = logs.ended is None
        found += [
            m.DescribedLog.model_construct(
                id=session, label=part, size=one.size or None, first_byte=one.first or None
            )
            for one in await _extents(logs)
        ]
    return m.DescribeLogsResponse.model_construct(logs=tuple(found), ended=ended or None)


async def _extents(logs: Logs) -> Sequence[Extent]:
    """In a thread: there may be a thousand files, and a disk may be slow."""
    paths: list[Path] = [path for _, path in logs.parts]
    return await anyio.to_thread.run_sync(lambda: [extent(path) for path in paths])
