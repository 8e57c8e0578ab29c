"""A reference to a secret."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.values import Uuid


class SecretRef(Message, proto="gitpod.v1.SecretRef"):
    """A secret, named by its id."""

    id: Annotated[Uuid, Wire(1, "string")]
