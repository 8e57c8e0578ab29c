"""Every rule of the contract's source, violated once, over HTTP: each is refused, naming the JSON path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from phased.api.calls import Effect
from phased.api.routes import ROUTES
from phased.contract.base import Message, wire_fields
from tests.api.daemon import NOBODY, TASKS, Api
from tests.contract.oracle import Oracle
from tests.contract.sources import contract
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared

Case = tuple[str, dict[str, Any], str]
"""A method, a request that breaks one rule, the path of the field."""


def _violations(oracle: Oracle, name: str, seen: frozenset[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Objects of a message that break one rule each, and where; of each rule the first that does."""
    fields = oracle.messages[name].get("fields", {})
    for field_name, field in fields.items():
        told: set[str] = set()
        for value, valid, path in oracle.trials(name, field_name):
            kind = f"{path} {type(value).__name__}"
            if not valid and kind not in told:
                told.add(kind)
                yield _with(oracle, name, field, value), path
        inner = field["type"]
        if inner in oracle.messages and inner not in seen and not field.get("repeated"):
            for value, path in _violations(oracle, inner, seen | {inner}):
                yield _with(oracle, name, field, value), f"{field['json']}.{path}"


def _with(oracle: Oracle, name: str, field: dict[str, Any], value: object) -> dict[str, Any]:
    """The smallest valid message with this field; of a oneof this field alone."""
    data = oracle.minimal(name)
    if "oneof" in field:
        for other in oracle.messages[name]["fields"].values():
            if other.get("oneof") == field["oneof"]:
                data.pop(other["json"], None)
    return data | {field["json"]: value}


def _cases() -> list[Case]:
    if not SHARED.is_dir():
        return []
    oracle = Oracle(contract())
    return [
        (route.path[1:], body, path)
        for route in ROUTES
        if route.request.proto in oracle.messages and not route.streams
        for body, path in _violations(oracle, route.request.proto, frozenset({route.request.proto}))
    ]


def test_each_violation_is_refused_by_its_path(api: Api) -> None:
    """`invalid_argument`, and what was sent is not repeated."""
    cases = _cases()
    wrong = []
    for method, body, path in cases:
        response = api.post(method, body)
        said = response.json()
        if (response.status_code, said.get("code")) != (400, "invalid_argument") or path not in said[
            "message"
        ]:
            wrong.append((method, path, str(body)[:200], response.status_code, str(said)[:200]))
    assert wrong == []
    assert len(cases) > 300
    assert len({method for method, _, _ in cases}) > 25


def test_a_oneof_that_is_set_twice_or_not_at_all_is_refused(api: Api) -> None:
    """Exactly one."""
    method = "gitpod.v1.SecretService/CreateSecret"
    both = {"name": "both_of_them", "value": "v", "environmentVariable": True, "apiOnly": True}
    assert api.refused(method, both)[0] == "invalid_argument"
    assert api.refused(method, {"name": "neither", "value": "v"})[0] == "invalid_argument"


@pytest.mark.parametrize(
    "identifier",
    ["../../etc/passwd", "", "x" * 5000, "\u0000", f"{NOBODY}.1"],
)
def test_ids_that_are_paths_are_no_ids(api: Api, identifier: str) -> None:
    """Of whatever: nothing but a UUID is looked up."""
    for route in ROUTES:
        for field in ("id", "environment_id", "secret_id", "runner_id"):
            known = field in {one.name for one in wire_fields(route.request)} and not route.streams
            if known and (identifier or _is_required(route.request, field)):
                code, message = api.refused(route.path[1:], {field: identifier})
                assert code in {"invalid_argument", "not_found"}, route.path
                assert len(message) < 1000


@pytest.mark.parametrize("reference", ["../../etc", "a/b", "a b", "", "é", "x" * 129, "a\n"])
def test_references_that_are_paths_are_refused(api: Api, reference: str) -> None:
    """They become parts of names, never of paths."""
    body = {"environmentId": api.environment, "metadata": {"reference": reference}}
    assert api.refused(f"{TASKS}/CreateTask", body)[0] == "invalid_argument"


def test_ids_of_nothing_are_not_found(api: Api) -> None:
    """By every method that takes one."""
    checked = 0
    for route in ROUTES:
        fields = {one.name for one in wire_fields(route.request)}
        for field in ("id", "environment_id", "secret_id", "runner_id"):
            if field in fields and _is_required(route.request, field) and not route.streams:
                body = _smallest(route.request) | {field: NOBODY}
                code, message = api.refused(route.path[1:], body)
                assert code in {"not_found", "invalid_argument"}, (route.path, message)
                checked += 1
    assert checked > 20
    assert all(route.effect in Effect for route in ROUTES)


def _is_required(message: type[Message], name: str) -> bool:
    return message.model_fields[name].is_required()


def _smallest(message: type[Message]) -> dict[str, Any]:
    if message.proto == "gitpod.v1.CreateTaskRequest":
        return {"metadata": {"reference": "smallest"}}
    if message.proto == "gitpod.v1.CreateServiceRequest":
        return {"metadata": {"reference": "smallest"}, "spec": {"commands": {"start": "true"}}}
    if message.proto == "gitpod.v1.UpdateSecretValueRequest":
        return {"value": "new"}
    if message.proto == "phased.v1.SetOutputRequest":
        return {"stepId": NOBODY}
    return {}
