"""Lists in pages: which page is asked for, and how to ask for the next."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.values import PageSize


class PaginationRequest(Message, proto="gitpod.v1.PaginationRequest"):
    """How many entries a page has (0: 25), and where it begins: the `next_token` of the page before."""

    page_size: Annotated[PageSize | None, Wire(1, "int32")] = None
    token: Annotated[str | None, Wire(2, "string")] = None


class PaginationResponse(Message, proto="gitpod.v1.PaginationResponse"):
    """Where the next page begins; absent on the last."""

    next_token: Annotated[str | None, Wire(1, "string")] = None
