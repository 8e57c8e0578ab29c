"""Valid instances of every message, generated from the classes alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from phased.contract import resource, values
from phased.contract.base import Message, Name, Wire, wire_fields

_ALIASES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (values.Int32, st.integers(-(2**31), 2**31 - 1)),
    (values.Uint32, st.integers(0, 2**32 - 1)),
    (values.Uint64, st.integers(0, 2**64 - 1).map(str)),
    (values.Bytes, st.binary(max_size=40)),
    (values.Timestamp, st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2))),
    (values.Duration, st.timedeltas(timedelta(days=-3_652_500), timedelta(days=3_652_500))),
    (values.Uuid, st.uuids().map(str)),
    (values.Uri, st.from_regex(r"\Ahttps://[a-z]{1,9}\.org/[a-z0-9/]{0,9}\Z")),
    (values.NotEmpty, st.text(min_size=1, max_size=20)),
    (values.Reference, st.from_regex(r"\A[a-zA-Z0-9_-]{1,20}\Z")),
    (values.OutputKey, st.text(min_size=1, max_size=128)),
    (values.OutputValue, st.text(max_size=40)),
    (values.EnvironmentName, st.text(max_size=80)),
    (values.NewEnvironmentName, st.text(max_size=128)),
    (values.ChangedPath, st.text(max_size=255)),
    (values.SecretName, st.from_regex(r"\A[0-9a-zA-Z_]{3,127}\Z")),
    (values.SecretValue, st.text(max_size=40)),
    (values.NewSecretValue, st.text(min_size=1, max_size=40)),
    (values.ActivitySource, st.text(min_size=3, max_size=80)),
    (values.DisplayName, st.text(min_size=3, max_size=127)),
    (values.ClassDescription, st.text(min_size=3, max_size=200)),
    (values.PortName, st.text(min_size=1, max_size=100)),
    (values.SearchText, st.text(max_size=256)),
    (values.AbsolutePath, st.from_regex(r"\A/[a-z]{1,9}(/[a-z ]{1,9})?\Z")),
    (
        values.RelativePath,
        st.from_regex(r"\A[a-z]{0,9}(/[a-z ]{1,9})?\Z").filter(lambda path: path[:1] != "/"),
    ),
    (values.HostAndPort, st.from_regex(r"\A[a-z]{1,9}\.org(:[1-9][0-9]{0,3})?\Z")),
    (values.Port, st.integers(1024, 65535)),
    (values.PageSize, st.integers(0, 100)),
    (values.ReadinessTimeout, st.timedeltas(timedelta(0), timedelta(days=1))),
    (
        values.DisconnectedTimeout,
        st.just(timedelta(0)) | st.timedeltas(timedelta(minutes=30), timedelta(days=9)),
    ),
    (values.PublicKey, st.binary(min_size=32, max_size=32)),
    (resource.KnownResourceType, st.sampled_from(list(resource.ResourceType)[1:])),
    (values.Bool, st.booleans()),
    (bool, st.booleans()),
    (str, st.text(max_size=20)),
]


def draw_message(data: st.DataObject, message: type[Message]) -> Message:
    """A valid instance of a message."""
    hints = get_type_hints(message, include_extras=True)
    fields = wire_fields(message)
    chosen = [field for field in fields if field.required and field.oneof is None]
    others = [field for field in fields if not field.required and field.oneof is None]
    if others:
        chosen += data.draw(st.lists(st.sampled_from(others), unique=True, max_size=6))
    for oneof in sorted({field.oneof for field in fields if field.oneof is not None}):
        one = [field for field in fields if field.oneof == oneof]
        left_out = [None] if oneof in message.optional_oneofs else []
        choice = data.draw(st.sampled_from([*one, *left_out]))
        chosen += [choice] if choice else []
    return message.model_validate({field.name: _draw(data, hints[field.name]) for field in chosen})


def _draw(data: st.DataObject, annotation: Any) -> Any:  # noqa: PLR0911 - one for each kind of annotation
    plain = _without_wire(annotation)
    for alias, strategy in _ALIASES:
        if plain == alias:
            return data.draw(strategy)
    if get_origin(plain) is Annotated:
        # A bound on how many entries a list may have, or must.
        return _draw(data, get_args(plain)[0]) or (_draw(data, get_args(get_args(plain)[0])[0]),)
    if get_origin(plain) in (Union, UnionType):
        return _draw(data, next(part for part in get_args(plain) if part is not type(None)))
    if get_origin(plain) is Literal:
        return data.draw(st.sampled_from(get_args(plain)))
    if get_origin(plain) is tuple:
        return tuple(_draw(data, get_args(plain)[0]) for _ in range(data.draw(st.integers(0, 2))))
    if get_origin(plain) is dict:
        key, value = get_args(plain)
        return {_draw(data, key): _draw(data, value) for _ in range(data.draw(st.integers(0, 2)))}
    if issubclass(plain, Name):
        return data.draw(st.sampled_from(list(plain)))
    assert issubclass(plain, Message), f"no strategy for {annotation}"
    return draw_message(data, plain)


def _without_wire(annotation: Any) -> Any:
    if get_origin(annotation) is not Annotated:
        return annotation
    base, *metadata = get_args(annotation)
    rest = [entry for entry in metadata if not isinstance(entry, Wire)]
    return Annotated[(base, *rest)] if rest else base
