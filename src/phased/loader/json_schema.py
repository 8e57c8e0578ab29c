"""The file's JSON Schema (draft 2020-12), made from the table of fields, for editors.

Knows shapes. It says all that a schema can: who depends on whom stays with `validate`.
"""

from __future__ import annotations

from typing import Any, assert_never

from phased.loader.fields import FILE, SERVICE, TASK
from phased.loader.shapes import Choice, Either, Flag, Listing, Record, Shape, Span, Table, Text, Whole

Schema = dict[str, Any]

_NUMBER = "[0-9]{1,9}([.][0-9]{1,9})?"
_SPAN = f"^({_NUMBER}ms|(?=.)({_NUMBER}h)?({_NUMBER}m)?({_NUMBER}s)?)$"


def schema() -> Schema:
    """A new dictionary each time: what an automations file may hold."""
    whole = _of(FILE)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "phased automations file",
        "description": "Tasks and services of a development environment. An empty file is valid.",
        **whole,
        "type": ["object", "null"],
        "$defs": {"task": _record(TASK), "service": _record(_without_snapshot(SERVICE))},
    }


def _of(shape: Shape) -> Schema:  # noqa: PLR0911 - one a shape
    match shape:
        case Text():
            return _text(shape)
        case Flag():
            return {"type": "boolean"}
        case Whole():
            return {"type": "integer", "minimum": shape.minimum, "maximum": shape.maximum}
        case Choice():
            return {"type": "string", "enum": list(shape.values)}
        case Span():
            return {"type": "string", "pattern": _SPAN, "examples": ["30s", "10m", "1h30m"]}
        case Listing():
            return {"type": "array", "items": _of(shape.of)}
        case Record():
            if shape is TASK or shape is SERVICE:
                return {"$ref": f"#/$defs/{shape.name.removeprefix('a ')}"}
            return _record(shape)
        case Table():
            names = {"pattern": f"^{shape.pattern}$"}
            return {"type": "object", "propertyNames": names, "additionalProperties": _of(shape.of)}
        case Either():
            return {"anyOf": [_of(shape.short), _of(shape.full)]}
        case _:
            assert_never(shape)


def _text(shape: Text) -> Schema:
    said: Schema = {"type": ["string", "number", "boolean"] if shape.loose else "string"}
    return said | ({"minLength": 1} if shape.nonempty else {})


def _record(shape: Record) -> Schema:
    said: Schema = {"type": "object", "additionalProperties": False, "properties": {}}
    for field in shape.fields:
        entry = _of(field.shape)
        if not field.required:
            # An empty value is an unset one: `dependsOn:` with all its items commented out is common.
            entry = {"anyOf": [entry, {"type": "null"}]}
        doc = f"{field.doc} (An extension of phased.)" if field.extension else field.doc
        said["properties"][field.name] = {"description": doc, **entry}
    required = [field.name for field in shape.fields if field.required]
    return (
        said
        | ({"required": required} if required else {})
        | ({"maxProperties": 1} if shape.exclusive else {})
    )


def _without_snapshot(service: Record) -> Record:
    """A service is not started by `beforeSnapshot`, which the reader says by a rule of its own."""
    from dataclasses import replace  # noqa: PLC0415 - used here alone

    fields = tuple(
        replace(field, shape=Listing(replace(field.shape.of, values=_but_snapshot(field.shape.of))))
        if field.name == "triggeredBy"
        and isinstance(field.shape, Listing)
        and isinstance(field.shape.of, Choice)
        else field
        for field in service.fields
    )
    return replace(service, fields=fields)


def _but_snapshot(choice: Choice) -> tuple[str, ...]:
    return tuple(value for value in choice.values if value != "beforeSnapshot")
