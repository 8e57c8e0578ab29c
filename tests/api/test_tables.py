"""The tables that a reader has to find complete: routes, roles, codes of errors, numbers of fields."""

from __future__ import annotations

from typing import Any

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

from phased import errors
from phased.access.roles import HOLDS, closed
from phased.api import failures
from phased.api.binary import Schema
from phased.api.calls import Effect
from phased.api.routes import KNOWN_ROLES, ROUTES
from phased.contract.base import Message, from_json, to_dict
from phased.contract.error_code import ErrorCode
from phased.contract.resource import ResourceRole
from tests.contract.everything import messages
from tests.contract.oracle import Oracle
from tests.contract.sources import contract
from tests.shared import needs_shared


def kinds(root: type[errors.PhasedError]) -> list[type[errors.PhasedError]]:
    """The tree of exceptions, as a list."""
    return [root, *(kind for child in root.__subclasses__() for kind in kinds(child))]


@needs_shared
def test_every_method_of_the_public_services_is_served() -> None:
    """With the messages that the source says, and GET for those without side effects."""
    source = contract()["services"]
    served = {(route.service, route.method): route for route in ROUTES}
    for service, methods in source.items():
        for method, facts in methods.items():
            route = served.pop((service, method))
            assert (route.request.proto, route.response.proto) == (facts["request"], facts["response"])
            assert route.streams is bool(facts.get("server_streaming"))
            if facts.get("no_side_effects"):
                assert route.effect is Effect.READS
    assert {service for service, _ in served} == {"phased.v1.DaemonService"}


def test_every_route_asks_for_a_role_and_paths_are_unique() -> None:
    """None is open by mistake."""
    assert all(route.roles for route in ROUTES)
    assert len({route.path for route in ROUTES}) == len(ROUTES)
    assert ResourceRole.UNSPECIFIED not in KNOWN_ROLES
    assert closed(frozenset({ResourceRole.ORG_ADMIN})) >= KNOWN_ROLES
    assert ResourceRole.ENVIRONMENT_VIEWER in HOLDS[ResourceRole.ENVIRONMENT_USER]


def test_every_code_has_its_status() -> None:
    """The table of the protocol: wire-api, rule 5."""
    assert set(failures.STATUS) == set(ErrorCode)
    assert {code.value for code in ErrorCode} == {code.value for code in Code}


@pytest.mark.parametrize("kind", kinds(errors.PhasedError), ids=lambda kind: kind.__name__)
def test_every_exception_has_a_code(kind: type[errors.PhasedError]) -> None:
    """Its own, or that of the nearest base; `internal` only for what is no fault of the client's."""
    error = kind.__new__(kind)
    code = failures.code_of(error) if kind is not failures.Refusal else ErrorCode.INTERNAL
    internal = {"PhasedError", "FileUnreadable", "SettingsError", "IllegalTransition", "Refusal"}
    internal |= {"CloneFailed", "Unreachable", "Refused"}
    assert (code is ErrorCode.INTERNAL) is (kind.__name__ in internal)


def test_a_bug_tells_the_client_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What it says could hold a secret; the log says where it happened."""
    try:
        raise ValueError("the secret of somebody")
    except ValueError as error:
        told = failures.refuse(error, "/gitpod.v1.X/Y")
    assert (told.code, "secret" in told.message) == (Code.INTERNAL, False)
    said = capsys.readouterr().err
    assert "request_failed" in said
    assert "test_tables.py" in said
    assert "secret of somebody" not in said
    assert failures.refuse(ConnectError(Code.ABORTED, "as it is"), "").code is Code.ABORTED


@needs_shared
@pytest.mark.parametrize("name", sorted(messages()))
def test_every_message_survives_binary(name: str) -> None:
    """The smallest one, and one with every field that can be set, through descriptors of our own."""
    source = contract()
    if name not in source["messages"]:
        pytest.skip("not of the public service")
    oracle = Oracle(source)
    kind: type[Message] = messages()[name]
    schema = Schema()
    for data in (oracle.minimal(name), _full(oracle, name)):
        message = from_json(kind, data)
        assert to_dict(schema.decode(schema.encode(message), kind)) == to_dict(message)


def _full(oracle: Oracle, name: str) -> dict[str, Any]:
    """Every field has a value; of a oneof the last."""
    data: dict[str, Any] = {}
    chosen: dict[str, str] = {}
    for field in oracle.messages[name].get("fields", {}).values():
        if "oneof" in field:
            data.pop(chosen.get(field["oneof"], ""), None)
            chosen[field["oneof"]] = field["json"]
        data[field["json"]] = oracle.sample(field)
    return data


def test_field_numbers_are_what_travels() -> None:
    """One message by hand, as protobuf's encoding has it."""
    kind = messages()["gitpod.v1.PaginationRequest"]
    assert Schema().encode(from_json(kind, {"pageSize": 5, "token": "ab"})) == b"\x08\x05\x12\x02ab"
