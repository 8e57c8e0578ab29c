"""Who the caller is, and what this daemon is: identity, gateways, runners, classes of environments.

Knows their messages and the installation. Must not know HTTP.
"""

from __future__ import annotations

from phased.api.calls import Call
from phased.api.paging import listed, told
from phased.contract import runner_calls as r
from phased.contract.environment_class import (
    ListEnvironmentClassesRequest,
    ListEnvironmentClassesRequestFilter,
    ListEnvironmentClassesResponse,
)
from phased.contract.gateway import ListGatewaysRequest, ListGatewaysResponse
from phased.contract.identity import GetAuthenticatedIdentityRequest, GetAuthenticatedIdentityResponse
from phased.contract.runner import Runner, RunnerKind, RunnerPhase, RunnerProvider, RunnerSpec, RunnerStatus
from phased.errors import NotFound

_KIND = RunnerKind.LOCAL
_PROVIDER = RunnerProvider.LINUX_HOST


async def get_authenticated_identity(
    call: Call,
    request: GetAuthenticatedIdentityRequest,  # noqa: ARG001 - a handler's shape
) -> GetAuthenticatedIdentityResponse:
    """Who the caller is."""
    return call.house.installation.identity(call.caller.subject)


async def list_gateways(call: Call, request: ListGatewaysRequest) -> ListGatewaysResponse:
    """The addresses under which this daemon is reached: one a listener."""
    page = listed(call.house.gateways(), lambda one: (one.name, one.name), "gateways", request.pagination)
    return ListGatewaysResponse.model_construct(gateways=page.entries, pagination=told(page))


async def get_runner(call: Call, request: r.GetRunnerRequest) -> r.GetRunnerResponse:
    """This daemon, as a runner."""
    runner = this_runner(call)
    if request.runner_id.lower() != runner.runner_id:
        raise NotFound(f"cannot find the runner {request.runner_id}: there is one, {runner.runner_id}")
    return r.GetRunnerResponse.model_construct(runner=runner)


async def list_runners(call: Call, request: r.ListRunnersRequest) -> r.ListRunnersResponse:
    """This daemon alone."""
    wanted = request.filter or r.ListRunnersRequestFilter()
    runner = this_runner(call)
    fits = (
        (not wanted.kinds or _KIND in wanted.kinds)
        and (not wanted.providers or _PROVIDER in wanted.providers)
        and (
            not wanted.creator_ids or (runner.creator is not None and runner.creator.id in wanted.creator_ids)
        )
    )
    page = listed(
        [runner] if fits else [], lambda one: ("", one.runner_id or ""), "runners", request.pagination
    )
    return r.ListRunnersResponse.model_construct(pagination=told(page), runners=page.entries)


async def list_environment_classes(
    call: Call, request: ListEnvironmentClassesRequest
) -> ListEnvironmentClassesResponse:
    """What environments can be made of, in the settings' order."""
    wanted = request.filter or ListEnvironmentClassesRequestFilter()
    found = [
        one
        for one in call.house.classes
        if (not wanted.runner_ids or one.runner_id in wanted.runner_ids)
        and wanted.enabled in {None, bool(one.enabled)}
        and wanted.can_create_environments in {None, bool(one.enabled)}
        and (not wanted.runner_kinds or _KIND in wanted.runner_kinds)
        and (not wanted.runner_providers or _PROVIDER in wanted.runner_providers)
    ]
    places = {one.id: place for place, one in enumerate(call.house.classes)}
    page = listed(found, lambda one: (places[one.id], one.id), "classes", request.pagination)
    return ListEnvironmentClassesResponse.model_construct(
        pagination=told(page), environment_classes=page.entries
    )


def this_runner(call: Call) -> Runner:
    """The daemon as the API shows it."""
    house = call.house
    phase = RunnerPhase.DEGRADED if house.trouble() else RunnerPhase.ACTIVE
    return Runner.model_construct(
        runner_id=house.installation.runner_id,
        created_at=house.facts.created_at,
        updated_at=house.facts.started_at,
        name=house.facts.host,
        kind=_KIND,
        provider=_PROVIDER,
        creator=house.installation.user(house.facts.uid),
        spec=RunnerSpec.model_construct(desired_phase=RunnerPhase.ACTIVE),
        status=RunnerStatus.model_construct(
            updated_at=house.facts.started_at,
            version=house.facts.version,
            phase=phase,
            message=house.trouble(),
            region=house.facts.region or None,
        ),
    )
