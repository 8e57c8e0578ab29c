"""Who did something: the kind of a principal, and the one that is meant."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire
from phased.contract.values import Uuid


class Principal(Name):
    """The kinds of principals."""

    UNSPECIFIED = "PRINCIPAL_UNSPECIFIED"
    ACCOUNT = "PRINCIPAL_ACCOUNT"
    USER = "PRINCIPAL_USER"
    RUNNER = "PRINCIPAL_RUNNER"
    ENVIRONMENT = "PRINCIPAL_ENVIRONMENT"
    SERVICE_ACCOUNT = "PRINCIPAL_SERVICE_ACCOUNT"
    RUNNER_MANAGER = "PRINCIPAL_RUNNER_MANAGER"


class Subject(Message, proto="gitpod.v1.Subject"):
    """One principal: its kind and its id, which may be absent."""

    id: Annotated[Uuid | None, Wire(1, "string")] = None
    principal: Annotated[Principal | None, Wire(2, "Principal")] = None
