"""A key with its value."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire


class FieldValue(Message, proto="gitpod.v1.FieldValue"):
    """One entry of a configuration."""

    key: Annotated[str | None, Wire(1, "string")] = None
    value: Annotated[str | None, Wire(2, "string")] = None
