"""One environment variable: a literal value, or where its value comes from."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.secret_ref import SecretRef
from phased.contract.values import NotEmpty


class EnvironmentVariableSource(Message, proto="gitpod.v1.EnvironmentVariableSource"):
    """Where a value comes from: a secret."""

    secret_ref: Annotated[SecretRef, Wire(1, "SecretRef", "source")]


class EnvironmentVariableItem(Message, proto="gitpod.v1.EnvironmentVariableItem"):
    """A variable with a literal `value` or with a source; exactly one of them is set."""

    name: Annotated[NotEmpty, Wire(1, "string")]
    value: Annotated[str | None, Wire(2, "string", "source")] = None
    value_from: Annotated[
        EnvironmentVariableSource | None, Wire(3, "EnvironmentVariableSource", "source")
    ] = None
