"""Who the caller is."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.subject import Subject


class GetAuthenticatedIdentityRequest(Message, proto="gitpod.v1.GetAuthenticatedIdentityRequest"):
    """What GetAuthenticatedIdentity is asked."""


class GetAuthenticatedIdentityResponse(Message, proto="gitpod.v1.GetAuthenticatedIdentityResponse"):
    """What GetAuthenticatedIdentity answers."""

    subject: Annotated[Subject | None, Wire(1, "Subject")] = None
    organization_id: Annotated[str | None, Wire(2, "string")] = None
    organization_tier: Annotated[str | None, Wire(3, "string")] = None
