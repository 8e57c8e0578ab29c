"""The first page: the environments there are, or the only one.

Knows the API's messages. Must not know the engine.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response

from phased.contract.environment_calls import ListEnvironmentsRequest, ListEnvironmentsResponse
from phased.contract.phased_v1 import GetStatusRequest, GetStatusResponse
from phased.contract.service import ServicePhase

if TYPE_CHECKING:
    from phased.web.visit import Visit

_UP: Final = frozenset({ServicePhase.STARTING, ServicePhase.RUNNING})


async def show(visit: Visit) -> Response:
    """All environments, and how much runs in each; where there is one, that leads on."""
    pages = visit.pages(lambda page: ListEnvironmentsRequest(pagination=page), ListEnvironmentsResponse)
    environments = [one async for page in pages for one in page.environments]
    if len(environments) == 1:
        return RedirectResponse(f"/web/environments/{environments[0].id}", 303)
    status = await visit.ask(GetStatusRequest(), GetStatusResponse)
    executions = Counter(one.metadata.environment_id for one in status.task_executions if one.metadata)
    services = Counter(
        one.environment_id for one in status.services if one.status and one.status.phase in _UP
    )
    return visit.show(
        "environments.html", environments=environments, executions=executions, services=services
    )
