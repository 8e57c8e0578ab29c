"""What every message of the API has in common: proto3 JSON in and out, and what a binary codec needs.

Knows the mapping between JSON, protobuf and Python. Must not know any message, or what one is for.

A field without presence (proto3: a plain scalar, no `optional`, no `oneof`) that holds its zero value is
unset: it is read as None, or as the empty tuple or dict, and never written.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache, cached_property
from json import dumps
from typing import Any, ClassVar, Final, Literal, Self, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError
from pydantic_core import from_json as parse_json

Label = Literal["", "optional", "repeated", "map"]

_SCALAR_ZEROS: Final[Mapping[str, tuple[object, ...]]] = {
    "string": ("",),
    "bytes": ("", b""),
    "bool": (False,),
    "int32": (0, 0.0, "0"),
    "uint32": (0, 0.0, "0"),
    "uint64": (0, "0"),
}


class Name(StrEnum):
    """Base of the enums. A value is the full name in protobuf; a member's name leaves the prefix out.

    The number is the second part of a member's definition, or its position where there is none.
    """

    number: int

    def __new__(cls, value: str, number: int | None = None) -> Self:
        """One member: `CREATING = "ENVIRONMENT_PHASE_CREATING", 10`."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.number = len(cls.__members__) if number is None else number
        return member

    @classmethod
    def _missing_(cls, value: object) -> Name | None:
        # proto3 JSON allows the number in place of the name.
        if isinstance(value, int) and not isinstance(value, bool):
            return next((member for member in cls if member.number == value), None)
        return None


@dataclass(frozen=True, slots=True)
class Wire:
    """Annotation of a field: its number and its type, as a .proto file says it.

    `type` is `string`, `optional bool`, `repeated RunsOn.Docker`, `map<string, string>`; a message or enum
    is named from the package of the message that the field is in, or whole (`google.protobuf.Duration`).
    """

    number: int
    type: str
    oneof: str | None = None


_set = object.__setattr__


@dataclass(frozen=True)
class WireField:
    """One field of a message, for codecs. `type` is the element's, or a map's value's; names are whole."""

    name: str
    json_name: str
    number: int
    label: Label
    model: type[Name | Message] | None
    """The class of an enum or message (of a map's values, of a list's entries), None for scalars."""
    type: str
    oneof: str | None
    required: bool
    """It cannot be absent in what is parsed."""

    @property
    def proto_name(self) -> str:
        """The name in protobuf: a name that Python keeps for itself has an underscore at its end."""
        return self.name.rstrip("_")

    @cached_property
    def presence(self) -> bool:
        """Whether its zero value differs from its absence."""
        is_message = self.model is not None and not issubclass(self.model, Name)
        if self.label in ("repeated", "map"):
            return False
        well_known = self.type.startswith("google.")
        return self.label == "optional" or self.oneof is not None or is_message or well_known

    def is_zero(self, value: object) -> bool:
        """Whether a value, as JSON or Python has it, is the one that means unset."""
        if self.label in ("repeated", "map"):
            return not value and isinstance(value, dict if self.label == "map" else list | tuple)
        if self.presence:
            return False
        return any(type(value) in (type(zero), self.model) and value == zero for zero in self._zeros)

    @cached_property
    def _zeros(self) -> tuple[object, ...]:
        if self.model is not None and issubclass(self.model, Name):
            return (0, next(iter(self.model)).value)
        return _SCALAR_ZEROS.get(self.type, ())


def camel_case(name: str) -> str:
    """`depends_on` as JSON has it: `dependsOn`; of `class_`, which Python forces on us, `class`."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name.rstrip("_"))


class Message(BaseModel):
    """Base of the messages: frozen; reads camelCase and snake_case; ignores what it does not know.

    `proto` is the full name in protobuf. Of each `oneof` exactly one field must be set, at most one of those
    in `optional_oneofs`. `model_construct` skips every check and is what builds messages in bulk.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=camel_case,
        populate_by_name=True,
        defer_build=True,
        hide_input_in_errors=True,
    )

    proto: ClassVar[str] = ""
    optional_oneofs: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, proto: str = "", optional_oneofs: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        cls.proto = proto
        cls.optional_oneofs = optional_oneofs

    @classmethod
    def model_construct(cls, _fields_set: set[str] | None = None, **values: Any) -> Self:  # noqa: ANN401 - pydantic's
        """As pydantic's, in a fraction of the time; only for names as Python has them."""
        message = cls.__new__(cls)
        fixed, made = _defaults(cls)
        fields = {**fixed, **values}
        for name, make in made:
            if name not in values:
                fields[name] = make()
        _set(message, "__dict__", fields)
        _set(message, "__pydantic_fields_set__", set(values) if _fields_set is None else _fields_set)
        _set(message, "__pydantic_extra__", None)
        _set(message, "__pydantic_private__", None)
        return message

    @model_validator(mode="before")
    @classmethod
    def _drop_unset(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        by_name = _by_either_name(cls)
        given = ((by_name.get(key), value) for key, value in data.items() if value is not None)
        return {
            field.json_name: value
            for field, value in given
            if field is not None and (field.required or not field.is_zero(value))
        }

    @model_validator(mode="after")
    def _check_oneofs(self) -> Self:
        for oneof, names in _oneofs(type(self)).items():
            present = [name for name in names if getattr(self, name) is not None]
            if len(present) > 1 or not (present or oneof in self.optional_oneofs):
                where = camel_case(present[1] if present else oneof)
                choice = ", ".join(camel_case(name) for name in names)
                raise PydanticCustomError(
                    "oneof", "exactly one of {choice} must be set", {"choice": choice, "where": where}
                )
        return self


M = TypeVar("M", bound=Message)


def from_json(message: type[M], text: str | bytes | Mapping[str, Any]) -> M:
    """A message from proto3 JSON, or from what JSON was decoded to.

    Raises ValueError where the text is no JSON, and its subclass pydantic.ValidationError where a rule is
    broken (`violations.describe` tells it).
    """
    data = parse_json(text, allow_inf_nan=False) if isinstance(text, str | bytes) else text
    return message.model_validate(data)


def to_json(message: Message) -> str:
    """A message as proto3 JSON on one line: what is unset or empty is absent."""
    return dumps(to_dict(message), ensure_ascii=False, separators=(",", ":"))


def to_dict(message: Message) -> dict[str, Any]:
    """A message as the dict that its JSON is; for messages that were built without checks too."""
    values = message.__dict__
    return {
        field.json_name: _encode(value)
        for field in wire_fields(type(message))
        if (value := values.get(field.name)) is not None and not field.is_zero(value)
    }


@cache
def wire_fields(message: type[Message]) -> tuple[WireField, ...]:
    """The fields of a message in the order of its definition, with what a codec needs."""
    package = ".".join(message.proto.split(".")[:2])
    return tuple(_wire_field(message, name, package) for name in message.model_fields)


def spell_timestamp(value: datetime) -> str:
    """An aware datetime as RFC 3339 in UTC: `2026-01-31T10:00:00.250Z`. Raises ValueError for a naive one."""
    if value.tzinfo is None:
        raise ValueError("cannot write a time without a zone; make it aware (UTC)")
    utc = value.astimezone(UTC)
    fraction = "microseconds" if utc.microsecond % 1000 else "milliseconds"
    digits = fraction if utc.microsecond else "seconds"
    return utc.isoformat(timespec=digits).removesuffix("+00:00") + "Z"


def spell_duration(value: timedelta) -> str:
    """A timedelta as protobuf's JSON has it: `90s`, `-1.5s`."""
    microseconds = value // timedelta(microseconds=1)
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if microseconds < 0 else ''}{seconds}{fraction}s"


def _encode(value: object) -> object:  # noqa: PLR0911 - one line for each kind of value that JSON tells apart
    if type(value) is str:  # most are
        return value
    match value:
        case Message():
            return to_dict(value)
        case Name():
            return value.value
        case str() | bool() | int() | float():
            return value
        case tuple() | list():
            return [_encode(entry) for entry in value]
        case Mapping():
            return {key: _encode(entry) for key, entry in value.items()}
        case datetime():
            return spell_timestamp(value)
        case timedelta():
            return spell_duration(value)
        case bytes():
            return b64encode(value).decode("ascii")
        case _:
            raise TypeError(f"cannot write a {type(value).__name__} as JSON; use the types of the contract")


def _wire_field(message: type[Message], name: str, package: str) -> WireField:
    info = message.model_fields[name]
    wire = next((entry for entry in info.metadata if isinstance(entry, Wire)), None)
    if wire is None:
        raise TypeError(f"cannot use {message.__name__}.{name}: it has no Wire annotation")
    label, kind = _label_and_type(wire.type)
    model = next(_models(info.annotation), None)
    if model is not None and not kind.startswith(("gitpod.", "google.", "phased.")):
        kind = f"{package}.{kind}"
    return WireField(
        name=name,
        json_name=camel_case(name),
        number=wire.number,
        label=label,
        model=model,
        type=kind,
        oneof=wire.oneof,
        required=info.is_required(),
    )


def _label_and_type(text: str) -> tuple[Label, str]:
    if text.startswith("map<"):
        return "map", text.removesuffix(">").partition(", ")[2]
    if text.startswith("repeated "):
        return "repeated", text.removeprefix("repeated ")
    if text.startswith("optional "):
        return "optional", text.removeprefix("optional ")
    return "", text


def _models(annotation: object) -> Iterator[type[Name | Message]]:
    if isinstance(annotation, type) and issubclass(annotation, Name | Message):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


@cache
def _defaults(message: type[Message]) -> tuple[Mapping[str, Any], Sequence[tuple[str, Callable[[], Any]]]]:
    """The values of fields that are not given: those that never differ, and those to be made anew."""
    fields = message.model_fields.items()
    fixed = {
        name: info.default for name, info in fields if info.default_factory is None and not info.is_required()
    }
    made = [(name, info.default_factory) for name, info in fields if info.default_factory is not None]
    return fixed, cast("list[tuple[str, Callable[[], Any]]]", made)


@cache
def _by_either_name(message: type[Message]) -> Mapping[str, WireField]:
    fields = wire_fields(message)
    return {field.name: field for field in fields} | {field.json_name: field for field in fields}


@cache
def _oneofs(message: type[Message]) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for field in wire_fields(message):
        if field.oneof is not None:
            groups[field.oneof] = (*groups.get(field.oneof, ()), field.name)
    return groups
