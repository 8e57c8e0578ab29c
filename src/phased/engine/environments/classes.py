"""What environments can be made of, and which is taken where none is named. Pure.

Knows the classes that settings list. Must not know settings. (`semantics: Who, what and where`.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from phased.contract.environment_class import EnvironmentClass, ProjectEnvironmentClass
from phased.errors import FailedPrecondition, InvalidArgument

LOCAL: Final = "local"
"""The name of the class that is always there: this machine."""


@dataclass(frozen=True, slots=True)
class EnvironmentClasses:
    """All classes; `local_id` is the id of the class `local`, which must be among them."""

    classes: tuple[EnvironmentClass, ...]
    local_id: str
    preference: tuple[ProjectEnvironmentClass, ...] = ()
    """The order in which they are taken where none is named."""

    def configuration(self, class_id: str) -> dict[str, str]:
        """What a class says of containers; {} where there is no such class any more."""
        found = next((one for one in self.classes if one.id == class_id), None)
        return {one.key: one.value for one in found.configuration if one.key and one.value} if found else {}

    def choose(self, asked: str) -> EnvironmentClass:
        """The class that is asked for by id (or `local`); "": the enabled one that is preferred.

        Raises InvalidArgument where there is none, FailedPrecondition where it is disabled.
        """
        if not asked:
            return self._preferred()
        identifier = self.local_id if asked == LOCAL else asked
        found = next((one for one in self.classes if one.id == identifier), None)
        if found is None:
            raise InvalidArgument(
                f"cannot use spec.machine.class {asked[:100]!r}: there is no such class; "
                "ListEnvironmentClasses shows them"
            )
        if not found.enabled:
            raise FailedPrecondition(
                f"cannot create an environment of the class {found.display_name or found.id}: it is disabled"
            )
        return found

    def _preferred(self) -> EnvironmentClass:
        enabled = {one.id: one for one in self.classes if one.enabled}
        for entry in sorted(self.preference, key=lambda entry: entry.order or 0):
            identifier = self.local_id if entry.local_runner else entry.environment_class_id or ""
            if identifier in enabled:
                return enabled[identifier]
        found = enabled.get(self.local_id) or next(iter(enabled.values()), None)
        if found is None:
            raise FailedPrecondition("cannot create an environment: every class is disabled in the settings")
        return found


def only_local(runner_id: str, local_id: str) -> EnvironmentClasses:
    """What there is where settings say nothing: this machine."""
    local = EnvironmentClass(
        id=local_id,
        runner_id=runner_id,
        display_name="This machine",
        description="Commands run as processes of the machine that the daemon runs on.",
        enabled=True,
    )
    return EnvironmentClasses((local,), local_id)
