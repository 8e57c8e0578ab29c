"""The order of a list."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire


class SortOrder(Name):
    """A direction; UNSPECIFIED is ascending."""

    UNSPECIFIED = "SORT_ORDER_UNSPECIFIED"
    ASC = "SORT_ORDER_ASC"
    DESC = "SORT_ORDER_DESC"


class Sort(Message, proto="gitpod.v1.Sort"):
    """A field of the message, in camelCase, and a direction."""

    field: Annotated[str | None, Wire(1, "string")] = None
    order: Annotated[SortOrder | None, Wire(2, "SortOrder")] = None
