"""Binary protobuf of the contract's messages: descriptors from the classes, values through JSON.

Needs `phased[proto]`. Knows `contract.base.wire_fields` and the protobuf runtime. Must not know methods.
A message's descriptor is made, with all that it refers to, when it is first used; the pool is this
schema's own, so that a client library in the same process does not clash.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from google.protobuf import (  # type: ignore[import-untyped] # the runtime has no types
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    json_format,
    message_factory,
    timestamp_pb2,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # the same

from phased.contract.base import Message, Name, WireField, from_json, to_dict, wire_fields

M = TypeVar("M", bound=Message)
_Field = descriptor_pb2.FieldDescriptorProto
_Parent = Any
"""A DescriptorProto or a FileDescriptorProto: what a message or enum is defined in."""

_SCALARS: Final = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "double": _Field.TYPE_DOUBLE,
    "float": _Field.TYPE_FLOAT,
}
_WELL_KNOWN: Final = (duration_pb2, timestamp_pb2)


class Schema:
    """The descriptors made so far, and the two conversions."""

    def __init__(self) -> None:
        """Only the well-known types are there."""
        self._classes: dict[type[Message], Any] = {}

    def encode(self, message: Message) -> bytes:
        """A message of the contract in binary."""
        made = self._class_of(type(message))()
        json_format.ParseDict(to_dict(message), made)
        return bytes(made.SerializeToString(deterministic=True))

    def decode(self, data: bytes, message: type[M]) -> M:
        """Raises ValueError where it is no such message, ValidationError where a rule is broken."""
        made = self._class_of(message)()
        try:
            made.ParseFromString(data)
            values = json_format.MessageToDict(made)
        except (DecodeError, json_format.Error) as error:
            raise ValueError(str(error)) from error
        return from_json(message, values)

    def _class_of(self, message: type[Message]) -> Any:  # noqa: ANN401 - a class made at run time
        if message not in self._classes:
            self._classes[message] = _build(message)
        return self._classes[message]


def _build(message: type[Message]) -> Any:  # noqa: ANN401 - a class made at run time
    """A pool for each root message: two may both define what they share."""
    pool = descriptor_pool.DescriptorPool()
    for module in _WELL_KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for file in _Files(message).files.values():
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(message.proto))


class _Files:
    """The files of all packages that a message needs; within a package one file."""

    def __init__(self, root: type[Message]) -> None:
        self.files: dict[str, Any] = {}
        self._places: dict[str, Any] = {}
        self._done: set[str] = set()
        for one in _reachable(root):
            self._define(one)
        self._order()

    def _define(self, message: type[Message]) -> None:
        place = self._message(message.proto)
        fields = wire_fields(message)
        oneofs = list(dict.fromkeys(field.oneof for field in fields if field.oneof))
        for oneof in oneofs:
            place.oneof_decl.add(name=oneof)
        for field in fields:
            made = place.field.add(name=field.proto_name, number=field.number, json_name=field.json_name)
            made.label = (
                _Field.LABEL_REPEATED if field.label in ("repeated", "map") else _Field.LABEL_OPTIONAL
            )
            if field.label == "map":
                self._entry(place, made, field, message.proto)
            else:
                self._type(made, field)
            if field.oneof:
                made.oneof_index = oneofs.index(field.oneof)
        for made, field in zip(place.field, fields, strict=True):
            # The oneofs that stand for `optional` come after the real ones (protobuf: proto3 presence).
            if field.label == "optional" and not field.oneof:
                made.proto3_optional = True
                made.oneof_index = len(place.oneof_decl)
                place.oneof_decl.add(name=f"_{field.proto_name}")

    def _type(self, made: Any, field: WireField) -> None:  # noqa: ANN401 - a descriptor
        if field.type in _SCALARS:
            made.type = _SCALARS[field.type]
            return
        made.type_name = f".{field.type}"
        if field.model is not None and issubclass(field.model, Name):
            made.type = _Field.TYPE_ENUM
            self._enum(field.type, field.model)
        else:
            made.type = _Field.TYPE_MESSAGE

    def _entry(self, place: Any, made: Any, field: WireField, owner: str) -> None:  # noqa: ANN401 - descriptors
        name = "".join(part.capitalize() for part in field.proto_name.split("_")) + "Entry"
        entry = place.nested_type.add(name=name)
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL, type=_Field.TYPE_STRING)
        self._type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), field)
        made.type, made.type_name = _Field.TYPE_MESSAGE, f".{owner}.{name}"

    def _enum(self, full_name: str, names: type[Name]) -> None:
        if full_name in self._done:
            return
        self._done.add(full_name)
        owner, _, name = full_name.rpartition(".")
        made = self._owner(owner).enum_type.add(name=name)
        for member in names:
            made.value.add(name=member.value, number=member.number)

    def _message(self, full_name: str) -> Any:  # noqa: ANN401 - a descriptor
        """The place of a message; what it is nested in is made where it is not there."""
        if full_name not in self._places:
            owner, _, name = full_name.rpartition(".")
            parent = self._owner(owner)
            members = parent.message_type if hasattr(parent, "message_type") else parent.nested_type
            self._places[full_name] = members.add(name=name)
        return self._places[full_name]

    def _owner(self, name: str) -> _Parent:
        return self._message(name) if name.count(".") > 1 else self._file(name)

    def _file(self, package: str) -> Any:  # noqa: ANN401 - a descriptor
        if package not in self.files:
            file = descriptor_pb2.FileDescriptorProto(
                name=f"{package}.proto", package=package, syntax="proto3"
            )
            file.dependency.extend(module.DESCRIPTOR.name for module in _WELL_KNOWN)
            self.files[package] = file
        return self.files[package]

    def _order(self) -> None:
        """Our own package may use the public one, never the reverse."""
        packages = sorted(self.files)
        self.files = {package: self.files[package] for package in packages}
        if len(packages) > 1:
            self.files[packages[-1]].dependency.append(f"{packages[0]}.proto")


def _reachable(root: type[Message]) -> Iterator[type[Message]]:
    seen = {root}
    waiting = [root]
    while waiting:
        message = waiting.pop()
        yield message
        for field in wire_fields(message):
            model = field.model
            if model is not None and issubclass(model, Message) and model not in seen:
                seen.add(model)
                waiting.append(model)
