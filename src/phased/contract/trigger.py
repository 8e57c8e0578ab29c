"""What starts a task or service by itself."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Wire
from phased.contract.values import Bool


class AutomationTrigger(Message, proto="gitpod.v1.AutomationTrigger"):
    """One trigger; exactly one of its fields is set. `semantics: Triggers` says when each fires."""

    manual: Annotated[Bool | None, Wire(1, "bool", "trigger")] = None
    """Asks for a start button; anything can be started by hand."""
    post_machine_start: Annotated[Bool | None, Wire(5, "bool", "trigger")] = None
    """The machine is up, the dev container is not ready yet."""
    post_environment_start: Annotated[Bool | None, Wire(10, "bool", "trigger")] = None
    """Every start and resume of the environment."""
    post_devcontainer_start: Annotated[Bool | None, Wire(20, "bool", "trigger")] = None
    """After the dev container starts: first start and rebuild."""
    prebuild: Annotated[Bool | None, Wire(30, "bool", "trigger")] = None
    """During a prebuild; without the user's secrets."""
    before_snapshot: Annotated[Bool | None, Wire(40, "bool", "trigger")] = None
    """After all prebuild tasks, before the snapshot; tasks alone, no services."""
