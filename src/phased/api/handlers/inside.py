"""The native service's looks inside: the variables of a step, the processes that live.

Knows their messages, the engine's explanations and the measuring of processes. Must not know HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio.to_thread

from phased.api.calls import Call
from phased.api.handlers.environments import find_environment
from phased.contract import phased_v1_inside as m
from phased.engine.explain import Around, Explained, explain
from phased.engine.processes import Found, owner_told, processes_of_all
from phased.engine.triggers.firings import check_triggers
from phased.runners.measuring import Measure, measure


async def explain_environment(
    call: Call, request: m.ExplainEnvironmentRequest
) -> m.ExplainEnvironmentResponse:
    """The variables of a task or service, and where each comes from."""
    house = call.house
    record = find_environment(call, request.environment_id)
    trigger = request.trigger or "manual"
    check_triggers([trigger])
    given = house.engine.variables_of(record.id)
    around = Around(house.base_of(record.workspace), given, trigger, record.workspace)
    found = explain(house.automations.catalog(record.id), request.reference, around, house.engine.access)
    return m.ExplainEnvironmentResponse.model_construct(variables=tuple(map(_variable, found)))


def _variable(one: Explained) -> m.ExplainedVariable:
    return m.ExplainedVariable.model_construct(
        name=one.name,
        value=one.value,
        secret=one.secret or None,
        origin=one.origin,
        hides=one.hides,
        missing=one.missing or None,
    )


async def list_processes(call: Call, request: m.ListProcessesRequest) -> m.ListProcessesResponse:
    """Every process of what runs or was left behind."""
    wanted = None
    if request.environment_id is not None:
        wanted = find_environment(call, request.environment_id).id
    found = await processes_of_all(call.house.engine)
    boot = call.house.clock.boot()
    measured = await anyio.to_thread.run_sync(_measure_all, found, boot)
    shown = [
        message
        for one, use in zip(found, measured, strict=True)
        if use is not None
        and wanted in {None, (message := _process(one, use)).environment_id}
        and (call.caller.sees_all or (message.environment_id and call.sees(message.environment_id)))
    ]
    return m.ListProcessesResponse.model_construct(processes=tuple(shown))


def _measure_all(found: Sequence[Found], boot: float) -> list[Measure | None]:
    return [measure(one.process.pid, one.process.start_time, boot) for one in found]


def _process(one: Found, use: Measure) -> m.Process:
    """Of whom the engine knows nothing more, the process itself may tell whose it is."""
    process = one.process
    owner = one.owner if one.owner.environment_id else owner_told(use.shown)
    return m.Process.model_construct(
        pid=str(process.pid),
        command=process.command,
        state=process.state or None,
        cpu_time=timedelta(seconds=use.cpu_time),
        memory_bytes=str(use.memory),
        age=timedelta(seconds=round(use.age, 2)),
        environment_id=owner.environment_id or None,
        task_execution_id=owner.execution_id or None,
        step_id=owner.step_id or None,
        service_id=owner.service_id or None,
        reference=owner.reference or None,
        leader=process.leader or None,
        left_behind=one.left_behind or None,
        part=owner.part or None,
    )
