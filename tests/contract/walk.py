"""The walk over both sources: every difference to the contract as one line, none if it keeps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from phased.contract import names
from phased.contract.base import Message, Name, WireField, from_json, wire_fields
from phased.contract.violations import describe
from tests.contract.everything import enums, messages
from tests.contract.oracle import Oracle
from tests.contract.sources import SharedField, SharedModels

PACKAGE = "gitpod.v1."


def complaints(source: dict[str, Any], shared: SharedModels) -> list[str]:
    """What the contract lacks, has too much of, or has otherwise than the sources and the tables say."""
    shapes = [*_about_messages(source), *_about_enums(source, shared), *_about_models(shared)]
    # Rules can be tried only on fields that are what the source says.
    return shapes or [line for name in source["messages"] for line in rule_complaints(source, name)]


def rule_complaints(source: dict[str, Any], message: str) -> list[str]:
    """Where the contract's checks of one message decide otherwise than its rules do."""
    kind, oracle = messages()[message], Oracle(source)
    whole = source["messages"][message]
    found = [*_about_oneofs(kind, oracle, whole, message)]
    for name, field in whole.get("fields", {}).items():
        base = oracle.minimal(message)
        for other in whole["fields"].values():
            if "oneof" in field and other.get("oneof") == field["oneof"]:
                base.pop(other["json"], None)
        if "oneof" not in field:
            absent = {key: value for key, value in base.items() if key != field["json"]}
            found += _judge(kind, absent, oracle.may_be_absent(message, name), field["json"])
        for value, good, path in oracle.trials(message, name):
            found += _judge(kind, {**base, field["json"]: value}, good, path)
    return found


def _judge(kind: type[Message], data: dict[str, Any], good: bool, path: str) -> Iterator[str]:
    shown = f"{kind.proto}: {path}: {str(data)[:200]}"
    try:
        from_json(kind, data)
    except ValidationError as error:
        paths = [where for where, _ in describe(error)]
        if good:
            yield f"{shown} is refused: {describe(error)}"
        elif path not in paths:
            yield f"{shown} is refused for {paths}"
    else:
        if not good:
            yield f"{shown} is accepted"


def _about_oneofs(kind: type[Message], oracle: Oracle, whole: dict[str, Any], name: str) -> Iterator[str]:
    for oneof in whole.get("oneofs", []):
        members = [field for field in whole["fields"].values() if field.get("oneof") == oneof]
        base = oracle.minimal(name)
        for field in members:
            base.pop(field["json"], None)
        may_be_missing = f"{name}.{oneof}" in names.MAY_BE_MISSING
        # Where the only member is required by itself, it is the member that is named.
        missing = re.sub(r"_([a-z])", lambda found: found[1].upper(), oneof)
        alone = members[0]["json"] if len(members) == 1 else missing
        yield from _judge(kind, base, may_be_missing, alone)
        for field in members[1:]:
            two = {members[0]["json"]: oracle.sample(members[0]), field["json"]: oracle.sample(field)}
            yield from _judge(kind, base | two, False, field["json"])


def _about_messages(source: dict[str, Any]) -> Iterator[str]:
    known = messages()
    yield from (f"{name}: no class" for name in source["messages"] if name not in known)
    yield from (f"{name}: a class that no source has" for name in known if name not in source["messages"])
    for name, whole in source["messages"].items():
        if name not in known:
            continue
        kind = known[name]
        called = names.CLASS_NAMES.get(name, name.removeprefix(PACKAGE).replace(".", ""))
        if kind.__name__ != called:
            yield f"{name}: the class is called {kind.__name__}, not {called}"
        fields = {field.proto_name: field for field in wire_fields(kind)}
        expected = whole.get("fields", {})
        yield from (f"{name}.{missing}: no field" for missing in expected.keys() - fields.keys())
        yield from (
            f"{name}.{extra}: a field that no source has" for extra in fields.keys() - expected.keys()
        )
        for field_name in expected.keys() & fields.keys():
            yield from about_field(f"{name}.{field_name}", fields[field_name], expected[field_name])
        if set(whole.get("oneofs", ())) != {field.oneof for field in fields.values()} - {None}:
            yield f"{name}: other oneofs"


def about_field(name: str, field: WireField, expected: dict[str, Any]) -> Iterator[str]:
    """Each fact of a field that is not what the source says."""
    kind = f"map<string, {field.type}>" if field.label == "map" else field.type
    here = {
        "number": field.number,
        "json": field.json_name,
        "type": kind,
        "repeated": field.label == "repeated",
        "optional": field.label == "optional",
        "oneof": field.oneof,
    }
    for fact, value in here.items():
        if (expected.get(fact) or None) != (value or None):
            yield f"{name}: {fact} is {value}, not {expected.get(fact)}"


def _about_enums(source: dict[str, Any], shared: SharedModels) -> Iterator[str]:
    known = enums()
    expected = {
        name.removeprefix(PACKAGE).replace(".", ""): values for name, values in source["enums"].items()
    }
    for name in expected.keys() - known.keys():
        yield f"{name}: no enum"
    for name, kind in known.items():
        values = _values(kind)
        if name in expected and values != tuple(expected[name]):
            yield f"{name}: other values: {set(values) ^ set(expected[name])}"
        if name not in expected and name not in names.ONLY_SHARED:
            yield f"{name}: an enum that no source has"
        newer = names.NEWER_VALUES.get(name, ())
        older = tuple(value for value in values if value not in newer)
        if name in names.ONLY_SHARED and older not in shared.literals:
            yield f"{name}: no literal of the shared models has these values"
    every = {
        tuple(value for value in _values(kind) if value not in names.NEWER_VALUES.get(name, ()))
        for name, kind in known.items()
    }
    yield from (
        f"{values[0]}: no enum with these values" for values in shared.literals if values not in every
    )


def _about_models(shared: SharedModels) -> Iterator[str]:
    by_name = {kind.__name__: kind for kind in messages().values()}
    for name, fields in shared.classes.items():
        kind = by_name.get(names.SHARED_NAMES.get(name, name))
        if kind is None:
            yield f"{name}: no class"
            continue
        yield from _about_nested(name, kind, fields, by_name)


def _about_nested(
    name: str, kind: type[Message], fields: list[SharedField], by_name: dict[str, type[Message]]
) -> Iterator[str]:
    # Fields of a nested model follow the field that holds it, without a mark: a line belongs to the
    # innermost open model that has such a field and has not had it yet.
    open_models: list[tuple[type[Message], set[str]]] = [(kind, set())]
    for line in fields:
        while open_models and not _takes(open_models[-1], line.name):
            open_models.pop()
        if not open_models:
            yield f"{name}: {line.name}: no field"
            return
        holder, had = open_models[-1]
        had.add(line.name)
        field = next(field for field in wire_fields(holder) if field.proto_name == line.name)
        yield from _about_shared(f"{name}: {holder.__name__}.{line.name}", holder, field, line)
        nested = re.sub(r"Optional|List|\[|\]", "", line.type)
        nested = names.SHARED_NAMES.get(nested, nested)
        if nested in by_name:
            open_models.append((by_name[nested], set()))
        elif nested[0].isupper() and nested not in enums() and not nested.startswith("Dict"):
            yield f"{name}: {line.name}: no class {nested}"


def _takes(model: tuple[type[Message], set[str]], name: str) -> bool:
    return name not in model[1] and any(field.proto_name == name for field in wire_fields(model[0]))


def _about_shared(where: str, holder: type[Message], field: WireField, line: SharedField) -> Iterator[str]:
    if field.required != (not line.type.startswith("Optional[")):
        full = f"{holder.proto}.{field.proto_name}"
        if full not in names.NEEDED:
            yield f"{where}: required is {field.required}"
    plain = line.type.removeprefix("Optional[") if line.type.startswith("Optional[") else line.type
    plain = plain.removesuffix("]") if line.type.startswith("Optional[") else plain
    if plain != _python_type(field):
        yield f"{where}: the type is {_python_type(field)}, not {plain}"
    named = field.model if field.model is not None and issubclass(field.model, Name) else None
    if line.values and named is not None and line.values != _values(named):
        yield f"{where}: other values"
    for rule, text in line.constraints.items():
        yield from _about_constraint(where, holder, field, rule, text)


def _about_constraint(
    where: str, holder: type[Message], field: WireField, rule: str, text: str
) -> Iterator[str]:
    match rule:
        case "minLength":
            good, bad = "a" * int(text), "a" * (int(text) - 1)
        case "maxLength":
            good, bad = "a" * int(text), "a" * (int(text) + 1)
        case _ if text == "uuid":
            good, bad = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11", "x"
        case _ if text == "date-time":
            good, bad = "2026-01-31T10:00:00Z", "x"
        case _ if text == "int32":
            good, bad = "5", str(2**31)
        case _:
            yield f"{where}: a rule that is not known: {rule} {text}"
            return
    empty_is_absence = bad == "" and not field.presence and not field.required
    for value, expected in ((good, False), (bad, not empty_is_absence)):
        if _names(holder, {field.json_name: value}, field.json_name) is not expected:
            yield f"{where}: {rule} {text} is not kept for {value[:40]!r}"


def _names(kind: type[Message], data: dict[str, Any], path: str) -> bool:
    try:
        from_json(kind, data)
    except ValidationError as error:
        return path in [where for where, _ in describe(error)]
    return False


def _python_type(field: WireField) -> str:
    shared = {there: here for here, there in names.SHARED_NAMES.items()}
    if field.label == "map":
        return "Dict[str, str]"
    if field.model is not None:
        plain = shared.get(field.model.__name__, field.model.__name__)
        # The page has no model for a message without fields.
        plain = "object" if not issubclass(field.model, Name) and not field.model.model_fields else plain
    else:
        plain = {"string": "str", "uint64": "str", "int32": "int", "bool": "bool"}.get(field.type, "datetime")
    return f"List[{plain}]" if field.label == "repeated" else plain


def _values(kind: type[Name]) -> tuple[str, ...]:
    return tuple(member.value for member in kind)
