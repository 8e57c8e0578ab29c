"""What is written is read again as it was, for every message of the contract."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phased.contract.base import Message, from_json, to_dict, to_json, wire_fields
from tests.contract.everything import messages
from tests.contract.generate import draw_message


@pytest.mark.parametrize("name", sorted(messages()))
@settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_generated_instances_survive_json(name: str, data: st.DataObject) -> None:
    """As text, as bytes, as a dict, in both spellings of names."""
    kind = messages()[name]
    message = draw_message(data, kind)
    text = to_json(message)
    assert from_json(kind, text) == message
    assert from_json(kind, text.encode()) == message
    assert from_json(kind, to_dict(message)) == message
    assert from_json(kind, _in_snake_case(kind, json.loads(text))) == message
    assert "null" not in [json.dumps(value) for value in _leaves(json.loads(text))]


def test_a_message_built_without_checks_is_written_the_same() -> None:
    """No message needs a field to be written."""
    for kind in messages().values():
        empty = kind.model_construct()
        assert all(value == {} for value in to_dict(empty).values())


def _in_snake_case(kind: type[Message], data: dict[str, Any]) -> dict[str, Any]:
    by_json = {field.json_name: field for field in wire_fields(kind)}
    found = {}
    for key, value in data.items():
        field, inner = by_json[key], value
        if field.model is not None and issubclass(field.model, Message):
            if field.label == "repeated":
                inner = [_in_snake_case(field.model, entry) for entry in value]
            elif field.label == "map":
                inner = {name: _in_snake_case(field.model, entry) for name, entry in value.items()}
            else:
                inner = _in_snake_case(field.model, value)
        found[field.proto_name] = inner
    return found


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for entry in value.values() for leaf in _leaves(entry)]
    if isinstance(value, list):
        return [leaf for entry in value for leaf in _leaves(entry)]
    return [value]
