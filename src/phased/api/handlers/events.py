"""WatchEvents: which resources changed, live before it answers.

Knows the feed of changes and the messages. Must not know HTTP. A reader that is slow costs a few words a
resource; one that is slower than that is told `aborted`, and looks at everything anew.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Final

from phased.api.calls import Call
from phased.contract.event import WatchEventsRequest, WatchEventsResponse
from phased.contract.resource import ResourceType
from phased.engine.changes import ResourceChange
from phased.errors import InvalidArgument

OF_ENVIRONMENT: Final = frozenset(
    {ResourceType.ENVIRONMENT, ResourceType.TASK, ResourceType.TASK_EXECUTION, ResourceType.SERVICE}
)
OF_ORGANIZATION: Final = frozenset({ResourceType.ENVIRONMENT, ResourceType.RUNNER, ResourceType.PROJECT})
"""What is told in each scope (`wire-api`, rule 3)."""


async def watch_events(call: Call, request: WatchEventsRequest) -> AsyncGenerator[WatchEventsResponse, None]:
    """Changes as they come. The first message is empty: it says that none is missed from now on."""
    wants = (
        _of_environment(call, request)
        if request.environment_id is not None
        else _of_organization(call, request)
    )
    with (
        call.house.changes.subscribe(wants) as subscription,
        call.house.listening(call, subscription.wake) as still,
    ):
        yield WatchEventsResponse.model_construct()
        while True:
            changes = await still.next(subscription.get)
            if not changes:
                yield WatchEventsResponse.model_construct()
            for change in changes or ():
                yield WatchEventsResponse.model_construct(
                    operation=change.operation,
                    resource_type=change.resource_type,
                    resource_id=change.resource_id,
                )


def _of_environment(call: Call, request: WatchEventsRequest) -> Callable[[ResourceChange], bool]:
    if request.resource_type_filters:
        raise InvalidArgument("cannot use resourceTypeFilters with environmentId: they go with organization")
    environment = (request.environment_id or "").lower()
    call.house.environments.record(environment)
    call.see(environment, f"the environment {environment}")
    return lambda change: change.environment_id == environment and change.resource_type in OF_ENVIRONMENT


def _of_organization(call: Call, request: WatchEventsRequest) -> Callable[[ResourceChange], bool]:
    filters = [
        (one.resource_type, frozenset(one.resource_ids), frozenset(one.creator_ids))
        for one in request.resource_type_filters
    ]

    def wants(change: ResourceChange) -> bool:
        if change.resource_type not in OF_ORGANIZATION:
            return False
        if change.environment_id and not call.sees(change.environment_id):
            return False
        return not filters or any(
            kind is change.resource_type
            and (not ids or change.resource_id in ids)
            and (not creators or change.creator_id in creators)
            for kind, ids, creators in filters
        )

    return wants
