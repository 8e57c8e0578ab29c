"""How many entries a list has in all, where that was asked for."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire
from phased.contract.values import Bool, Int32


class CountResponseRelation(Name):
    """Whether a count is exact (EQ) or a lower bound (GTE)."""

    UNSPECIFIED = "COUNT_RESPONSE_RELATION_UNSPECIFIED"
    EQ = "COUNT_RESPONSE_RELATION_EQ"
    GTE = "COUNT_RESPONSE_RELATION_GTE"


class CountRequest(Message, proto="gitpod.v1.CountRequest"):
    """Whether a count is asked for."""

    include: Annotated[Bool | None, Wire(1, "bool")] = None


class CountResponse(Message, proto="gitpod.v1.CountResponse"):
    """A count, and whether it is exact."""

    value: Annotated[Int32 | None, Wire(1, "int32")] = None
    relation: Annotated[CountResponseRelation | None, Wire(2, "CountResponseRelation")] = None
