"""The contract is the union of its two sources, but for what stands in its tables of names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest

from phased.contract import names
from phased.contract.base import wire_fields
from tests.contract.everything import messages
from tests.contract.oracle import Oracle
from tests.contract.sources import SharedField, SharedModels, contract, shared_models
from tests.contract.walk import about_field, complaints, rule_complaints
from tests.shared import needs_shared

pytestmark = needs_shared

Source = dict[str, Any]


def test_nothing_of_either_source_is_missing_or_differs() -> None:
    """The walk over both sources ends without a complaint."""
    assert complaints(contract(), shared_models()) == []


def _message(source: Source, name: str) -> Any:
    return source["messages"][f"gitpod.v1.{name}"]


def _add_message(source: Source, _: SharedModels) -> None:
    source["messages"]["gitpod.v1.Unheard"] = {"fields": {}}


def _remove_message(source: Source, _: SharedModels) -> None:
    del source["messages"]["gitpod.v1.UpdateWindow"]


def _rename_message(source: Source, _: SharedModels) -> None:
    source["messages"]["gitpod.v1.Windows"] = source["messages"].pop("gitpod.v1.UpdateWindow")


def _add_field(source: Source, _: SharedModels) -> None:
    _message(source, "Task")["fields"]["colour"] = {"number": 9, "json": "colour", "type": "string"}


def _remove_field(source: Source, _: SharedModels) -> None:
    del _message(source, "TaskSpec")["fields"]["command"]


def _change_oneof(source: Source, _: SharedModels) -> None:
    del _message(source, "RunsOn")["fields"]["docker"]["oneof"]


def _remove_oneof(source: Source, _: SharedModels) -> None:
    del _message(source, "RunsOn")["oneofs"]


def _add_value(source: Source, _: SharedModels) -> None:
    source["enums"]["gitpod.v1.SortOrder"].append("SORT_ORDER_RANDOM")


def _remove_value(source: Source, _: SharedModels) -> None:
    source["enums"]["gitpod.v1.ServicePhase"].remove("SERVICE_PHASE_STOPPED")


def _add_enum(source: Source, _: SharedModels) -> None:
    source["enums"]["gitpod.v1.Colour"] = ["COLOUR_UNSPECIFIED"]


def _add_shared_class(_: Source, shared: SharedModels) -> None:
    shared.classes["Unheard"] = []


def _add_shared_field(_: Source, shared: SharedModels) -> None:
    shared.classes["TaskMetadata"].insert(3, SharedField("colour", "Optional[str]"))


def _add_nested_field(_: Source, shared: SharedModels) -> None:
    fields = shared.classes["TaskExecution"]
    place = next(i for i, field in enumerate(fields) if field.name == "output")
    fields.insert(place, SharedField("colour", "Optional[str]"))


def _change_shared_type(_: Source, shared: SharedModels) -> None:
    _shared(shared, "Sort", "field").type = "Optional[int]"


def _change_shared_list(_: Source, shared: SharedModels) -> None:
    _shared(shared, "Task", "depends_on").type = "Optional[str]"


def _change_shared_presence(_: Source, shared: SharedModels) -> None:
    _shared(shared, "Gateway", "region").type = "str"


def _change_shared_length(_: Source, shared: SharedModels) -> None:
    _shared(shared, "EnvironmentClass", "description").constraints["maxLength"] = "201"


def _change_shared_format(_: Source, shared: SharedModels) -> None:
    _shared(shared, "Gateway", "url").constraints["format"] = "uuid"


def _change_inline_value(_: Source, shared: SharedModels) -> None:
    _shared(shared, "TaskExecutionStatus", "phase").values += ("TASK_EXECUTION_PHASE_LOST",)


def _add_literal(_: Source, shared: SharedModels) -> None:
    shared.literals.append(("COLOUR_UNSPECIFIED", "COLOUR_RED"))


def _change_literal(_: Source, shared: SharedModels) -> None:
    shared.literals[1] = (*shared.literals[1], "teapot")


def _shared(shared: SharedModels, model: str, name: str) -> SharedField:
    return next(field for field in shared.classes[model] if field.name == name)


@pytest.mark.parametrize(
    "change",
    [
        *(_add_message, _remove_message, _rename_message, _add_field, _remove_field, _change_oneof),
        *(_remove_oneof, _add_value, _remove_value, _add_enum, _add_shared_class, _add_shared_field),
        *(_add_nested_field, _change_shared_type, _change_shared_list, _change_shared_presence),
        *(_change_shared_length, _change_shared_format, _change_inline_value, _add_literal, _change_literal),
    ],
    ids=lambda change: change.__name__.strip("_"),
)
def test_a_source_that_says_something_else_is_noticed(change: Callable[[Source, SharedModels], None]) -> None:
    """The walk can fail: each of these changes makes it complain."""
    source, shared = contract(), shared_models()
    change(source, shared)
    assert complaints(source, shared) != []


@pytest.mark.parametrize(
    ("fact", "value"),
    [("number", 99), ("json", "other"), ("type", "bytes"), ("repeated", 2), ("optional", 2), ("oneof", "x")],
)
def test_every_fact_of_every_field_is_compared(fact: str, value: object) -> None:
    """Each fact that is made wrong in the source is told for each field."""
    source = contract()
    changed = 0
    for whole in source["messages"].values():
        for field in whole.get("fields", {}).values():
            field[fact] = (
                not field.get(fact) if value == 2 else value if field.get(fact) != value else "int32"
            )
            changed += 1
    told = [line for line in _complaints_of_facts(source) if f": {fact} is " in line]
    assert len(told) == changed > 500


def _complaints_of_facts(source: Source) -> list[str]:
    return [
        line
        for name, kind in messages().items()
        for field in wire_fields(kind)
        for line in about_field(name, field, source["messages"][name]["fields"][field.proto_name])
    ]


def test_every_rule_that_is_taken_away_is_noticed() -> None:
    """A check that no source asks for is a difference."""
    source = contract()
    unnoticed = []
    for message, name, rules in _rules(source):
        del source["messages"][message]["fields"][name]["rules"]
        if not rule_complaints(source, message):
            unnoticed.append(f"{message}.{name}: {rules}")
        source["messages"][message]["fields"][name]["rules"] = rules
    # An unknown value of an enum is refused with and without `defined_only`; of the others, the tables
    # decide about the only value that the rule refuses.
    without = [line for line in unnoticed if "defined_only" not in line]
    assert [line for line in without if not line.endswith("{'string': {'min_len': '1'}}")] == []
    assert {line.partition(":")[0] for line in without} <= names.MAY_BE_MISSING.keys() | names.NEEDED.keys()


def test_every_bound_that_is_moved_is_noticed() -> None:
    """By one: lengths, counts, numbers and durations are kept exactly."""
    source = contract()
    moved, unnoticed = 0, []
    for message, name, rules in _rules(source):
        field = source["messages"][message]["fields"][name]
        for other in _moved(rules):
            field["rules"] = other
            moved += 1
            if not rule_complaints(source, message):
                unnoticed.append(f"{message}.{name}: {other}")
        field["rules"] = rules
    assert unnoticed == []
    assert moved > 60


def test_every_rule_that_is_added_is_noticed() -> None:
    """A rule that is not kept is a difference, on whichever field it stands."""
    source = contract()
    unnoticed = []
    for message, whole in source["messages"].items():
        for name, field in whole.get("fields", {}).items():
            if field["type"] != "string" or "rules" in field:
                continue
            rule = {"string": {"max_len": "7"}}
            field["rules"] = {"repeated": {"items": rule}} if field.get("repeated") else rule
            if not rule_complaints(source, message):
                unnoticed.append(f"{message}.{name}")
            del field["rules"]
    assert unnoticed == []


def test_every_row_of_the_tables_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any one row of them the walk complains."""
    source = contract()
    unneeded = []
    for table in (names.MAY_BE_MISSING, names.NEEDED, names.MORE_VALUES):
        for row in list(table):
            message = next(m for m in Oracle(source).messages if row.rpartition(".")[0] == m)
            with monkeypatch.context() as patch:
                patch.delitem(table, row)
                if not (rule_complaints(source, message) or complaints(source, shared_models())):
                    unneeded.append(row)
    assert unneeded == []


def _rules(source: Source) -> Iterator[tuple[str, str, Any]]:
    for message, whole in source["messages"].items():
        for name, field in whole.get("fields", {}).items():
            if "rules" in field:
                yield message, name, field["rules"]


def _moved(rules: Any) -> Iterator[Any]:
    """The same rules with each of their bounds moved by one, a bound at a time."""
    for path in _bounds(rules, ()):
        other = deepcopy(rules)
        holder = other
        for step in path[:-1]:
            holder = holder[step]
        bound = holder[path[-1]]
        unit = "s" if str(bound).endswith("s") else ""
        moved = int(str(bound).removesuffix("s")) + 1
        holder[path[-1]] = moved if isinstance(bound, int) else f"{moved}{unit}"
        yield other


def _bounds(rules: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in rules.items():
        if isinstance(value, dict):
            yield from _bounds(value, (*path, key))
        elif key in ("min_len", "max_len", "len", "max_items", "gte", "lte"):
            yield (*path, key)
