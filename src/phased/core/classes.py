"""Environment classes and their order of preference, as settings say (`semantics: Who, what and where`).

Knows the contract's rules for them. Must not know files of settings or environments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from phased.contract.environment_class import EnvironmentClass, ProjectEnvironmentClass
from phased.contract.field_value import FieldValue
from phased.contract.gateway import Gateway
from phased.contract.violations import summary
from phased.errors import SettingsError

LOCAL: Final = "local"
"""The name of the class that is always there: this machine."""
CONFIGURATION: Final = ("image", "network", "pullPolicy")
_CLASS_KEYS: Final = ("name", "display_name", "description", "enabled", "configuration")
_PREFERRED_KEYS: Final = ("class", "localRunner", "order")

IdOf = Callable[[str], str]
"""The id of a class by its name."""


def read_classes(
    classes: Sequence[Mapping[str, Any]], preferred: Sequence[Mapping[str, Any]], id_of: IdOf, runner_id: str
) -> tuple[tuple[EnvironmentClass, ...], tuple[ProjectEnvironmentClass, ...]]:
    """All classes, `local` first, and their order of preference, the lowest first.

    From the settings environments.classes and environments.preferred. Raises SettingsError.
    """
    made: dict[str, EnvironmentClass] = {LOCAL: _class({"name": LOCAL}, id_of, runner_id)}
    given: set[str] = set()
    for table in classes:
        name = _name(table)
        if name in given:
            raise _bad("classes", f"there are two classes named {name}; give one another name")
        given.add(name)
        made[name] = _class(table, id_of, runner_id)
    order = [_preference(table, made) for table in preferred]
    return tuple(made.values()), tuple(sorted(order, key=lambda one: one.order or 0))


def _name(table: Mapping[str, Any]) -> str:
    _check_keys("classes", table, _CLASS_KEYS)
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise _bad("classes", "each class has a name")
    return name


def _class(table: Mapping[str, Any], id_of: IdOf, runner_id: str) -> EnvironmentClass:
    name = table["name"]
    configuration = table.get("configuration", {})
    if not isinstance(configuration, Mapping):
        raise _bad("classes", f"{name}: configuration is a table, as {{ image = 'debian:12' }}")
    _check_keys(f"classes: {name}: configuration", configuration, CONFIGURATION)
    if any(not isinstance(value, str) for value in configuration.values()):
        raise _bad("classes", f"{name}: what is in configuration is text")
    text = "This machine" if name == LOCAL else name
    message = {
        "id": id_of(name),
        "runner_id": runner_id,
        "display_name": table.get("display_name", text),
        "description": table.get("description", f"{text}."),
        "enabled": table.get("enabled", True),
        "configuration": [{"key": key, "value": value} for key, value in configuration.items()],
    }
    try:
        checked = EnvironmentClass.model_validate(message)
    except ValidationError as error:
        raise _bad("classes", f"{name}: {summary(error)}") from None
    fields = tuple(FieldValue(key=key, value=value) for key, value in configuration.items())
    return checked.model_copy(update={"enabled": message["enabled"], "configuration": fields})


def _preference(table: Mapping[str, Any], classes: Mapping[str, EnvironmentClass]) -> ProjectEnvironmentClass:
    _check_keys("preferred", table, _PREFERRED_KEYS)
    name, local, order = table.get("class"), table.get("localRunner", False), table.get("order", 0)
    if isinstance(order, bool) or not isinstance(order, int) or abs(order) >= 2**31:
        raise _bad("preferred", f"order is a whole number, not {order!r}")
    if (name is None) is not (local is True):
        raise _bad("preferred", "each entry has either class or localRunner = true")
    if local is True:
        return ProjectEnvironmentClass.model_construct(None, local_runner=True, order=order)
    found = classes.get(name) if isinstance(name, str) else None
    found = found or next((one for one in classes.values() if one.id == name), None)
    if found is None:
        raise _bad("preferred", f"there is no class {name!r}; there are: {', '.join(classes)}")
    if found is classes[LOCAL]:
        raise _bad("preferred", f"the class {LOCAL} is not named here: write localRunner = true")
    return ProjectEnvironmentClass.model_construct(None, environment_class_id=found.id, order=order)


def gateways(listeners: Sequence[tuple[str, str]], region: str = "") -> tuple[Gateway, ...]:
    """One gateway for each listener, given as its name and URL. Raises SettingsError for two of one name."""
    names = [name for name, _ in listeners]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise SettingsError(f"cannot listen: two listeners are named {twice[0]}; give one another name")
    return tuple(Gateway(name=name, url=url, region=region or None) for name, url in listeners)


def _check_keys(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise _bad(where, f"there is no {key}; there are: {', '.join(known)}")


def _bad(where: str, reason: str) -> SettingsError:
    return SettingsError(f"cannot use environments.{where}: {reason}")
