"""One firing of a trigger: what it started, and how each came out.

Knows the API's messages. Must not know the engine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from phased.contract.phased_v1_firing import FiringResult, GetFiringRequest, GetFiringResponse
from phased.errors import NotFound
from phased.web.environment_page import environment_of

if TYPE_CHECKING:
    from phased.web.visit import Visit

_OPEN: Final = frozenset({FiringResult.FAILED, FiringResult.STOPPED, FiringResult.INTERRUPTED})


async def show(visit: Visit) -> Response:
    """One firing."""
    wanted = visit.request.path_params["firing"]
    found = await visit.ask(GetFiringRequest(id=wanted), GetFiringResponse)
    firing = found.firing
    if firing is None:
        raise NotFound(f"cannot find a firing {wanted!r}")
    return visit.show(
        "firing.html",
        firing=firing,
        environment=await environment_of(visit, firing.environment_id or ""),
        can_resume=firing.result in _OPEN,
    )
