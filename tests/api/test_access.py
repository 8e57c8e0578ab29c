"""Who may call what: over TCP, with tokens, and of which environment; the table of routes is what says so."""

from __future__ import annotations

from typing import Any

import pytest

from phased.access.roles import closed
from phased.api.calls import Route
from phased.api.routes import ANYBODY, KNOWN_ROLES, ROUTES
from phased.contract.base import wire_fields
from phased.contract.resource import ResourceRole as Role
from tests.api.daemon import ENVIRONMENTS, EVENTS, NATIVE, NOBODY, SECRETS, TASKS, Api, Daemon, wait_for

JSON = {"content-type": "application/json"}
UNARY = [route for route in ROUTES if not route.streams]


@pytest.fixture(scope="module")
def world(served: Daemon) -> dict[str, str]:
    """Ids of one of everything in the workspace's environment, and another environment."""
    api = Api(served.client())
    task = api.task("known", "true")
    service = {
        "environmentId": api.environment,
        "metadata": {"reference": "known-service"},
        "spec": {"commands": {"start": "sleep 1000"}},
    }
    made = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {"name": "other"})["environment"]["id"]
    secret = {"name": "KNOWN", "value": "of-the-environment", "environmentVariable": True}
    scope = {"scope": {"projectId": api.environment}}
    known = {
        "environment": api.environment,
        "other": made,
        "task": task,
        "service": api.call(f"{TASKS}/CreateService", service)["service"]["id"],
        "execution": api.start(task),
        "secret": api.call(f"{SECRETS}/CreateSecret", secret | scope)["secret"]["id"],
    }
    api.until(known["execution"], "SUCCEEDED")
    environment = {"environmentId": made}
    wait_for(
        lambda: (
            api.call(f"{ENVIRONMENTS}/GetEnvironment", environment)["environment"]["status"]["phase"]
            == "ENVIRONMENT_PHASE_RUNNING"
        ),
        "the other environment runs",
    )
    return known


def request(route: Route, world: dict[str, str]) -> dict[str, Any]:
    """A request for a method that names something of the workspace's environment."""
    fields = {field.name for field in wire_fields(route.request)}
    body: dict[str, Any] = {}
    if "environment_id" in fields:
        body["environmentId"] = world["environment"]
    if "secret_id" in fields:
        body["secretId"] = world["secret"]
    if "execution_id" in fields:
        body |= {"executionId": world["execution"], "stepId": "x"}
    if "id" in fields:
        noun = next(
            (noun for noun in ("Execution", "Service", "Task") if noun in route.method),
            "Token",
        )
        body["id"] = world.get(noun.lower(), NOBODY)
    more: dict[str, dict[str, Any]] = {
        "CreateTask": {"metadata": {"reference": "never"}},
        "CreateService": {"metadata": {"reference": "never"}, "spec": {"commands": {"start": "x"}}},
        "CreateSecret": {
            "name": "NEVER",
            "value": "v",
            "apiOnly": True,
            "scope": {"projectId": world["environment"]},
        },
        "UpdateSecretValue": {"value": "v"},
        "GetRunner": {"runnerId": NOBODY},
        "ApplyFile": {"content": "tasks: {}"},
        "FireTrigger": {"trigger": "prebuild"},
        "ExplainEnvironment": {"reference": "known"},
        "DescribeLogs": {"taskExecutionId": world["execution"]},
    }
    return body | more.get(route.method, {})


@pytest.mark.parametrize("route", UNARY, ids=lambda route: route.method)
def test_over_tcp_nothing_is_answered_without_a_token(
    served: Daemon, world: dict[str, str], route: Route
) -> None:
    """Also who would be an admin on the socket."""
    with served.tcp() as client:
        response = client.post(route.path, json=request(route, world))
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", UNARY, ids=lambda route: route.method)
def test_a_token_of_another_environment_reaches_nothing(
    served: Daemon, api: Api, world: dict[str, str], route: Route
) -> None:
    """What it names is not found, what it lists is empty, whatever the role."""
    if route.roles is ANYBODY:
        return
    token = api.token("ENVIRONMENT_ADMIN", environment=world["other"])
    with served.tcp(token) as client:
        body = request(route, world)
        response = client.post(route.path, json=body)
    if response.status_code == 200:
        assert route.method.startswith("List") or route.method == "QueryTaskExecutions"
        assert world["environment"] not in response.text
        assert world["task"] not in response.text
    else:
        assert response.json()["code"] in {"not_found", "permission_denied"}, response.text


@pytest.mark.parametrize("route", UNARY, ids=lambda route: route.method)
def test_a_role_suffices_only_for_what_the_table_says(
    served: Daemon, api: Api, world: dict[str, str], route: Route
) -> None:
    """A viewer is let in where its roles, and what they hold, open the method, and nowhere else."""
    token = api.token("ENVIRONMENT_VIEWER", environment=world["environment"])
    with served.tcp(token) as client:
        response = client.post(route.path, json=request(route, world))
    opens = bool(closed(frozenset({Role.ENVIRONMENT_VIEWER})) & route.roles)
    refused = response.status_code == 403
    assert refused is not opens, response.text


def test_a_viewer_can_follow_and_not_start(served: Daemon, api: Api, world: dict[str, str]) -> None:
    """The example that everybody asks for."""
    token = api.token("RESOURCE_ROLE_ENVIRONMENT_VIEWER", environment=world["environment"])
    with served.tcp(token) as client:
        viewer = Api(client, world["environment"])
        assert viewer.call(f"{TASKS}/GetTask", {"id": world["task"]})
        code, message = viewer.refused(f"{TASKS}/StartTask", {"id": world["task"]})
        assert code == "permission_denied"
        assert "RESOURCE_ROLE_ENVIRONMENT_TASK_USER" in message
        assert (
            viewer.refused(f"{SECRETS}/GetSecretValue", {"secretId": world["secret"]})[0]
            == "permission_denied"
        )


def test_tokens_that_are_no_good_are_refused(served: Daemon, api: Api, world: dict[str, str]) -> None:
    """Wrong, expired, revoked, or no bearer's."""
    made = api.call(f"{NATIVE}/CreateToken", {"roles": ["ENVIRONMENT_VIEWER"]})
    short = api.token("ENVIRONMENT_VIEWER", expiresIn="0.001s")
    with served.tcp(made["value"]) as client:
        assert client.post(f"/{TASKS}/ListTasks", json={}).status_code == 200
        api.call(f"{NATIVE}/RevokeToken", {"id": made["token"]["id"]})
        refused = [
            client.post(f"/{TASKS}/ListTasks", json={}),
            *(
                client.post(f"/{TASKS}/ListTasks", json={}, headers={"authorization": header})
                for header in (
                    f"Bearer {short}",
                    "Bearer nonsense",
                    "Basic cm9vdDo=",
                    "Bearer",
                    f"Bearer {made['value']}x",
                )
            ),
        ]
    assert [response.status_code for response in refused] == [401] * 6
    assert all(made["value"] not in response.text for response in refused)
    listed = api.call(f"{NATIVE}/ListTokens")["tokens"]
    assert made["token"]["id"] not in {token["id"] for token in listed}
    assert world


def test_a_token_shown_on_the_socket_limits(api: Api, world: dict[str, str]) -> None:
    """It never widens, and it does not matter that the peer is an admin."""
    token = api.token("ENVIRONMENT_VIEWER", environment=world["environment"])
    headers = {"authorization": f"Bearer {token}"}
    assert api.post(f"{TASKS}/GetTask", {"id": world["task"]}, headers=headers).status_code == 200
    assert api.post(f"{TASKS}/StartTask", {"id": world["task"]}, headers=headers).status_code == 403


def test_a_token_for_logs_reads_logs_alone(served: Daemon, api: Api, world: dict[str, str]) -> None:
    """Of its own environment; every method is closed to it."""
    token = api.call(f"{ENVIRONMENTS}/CreateEnvironmentLogsToken", {"environmentId": api.environment})[
        "accessToken"
    ]
    other = api.call(f"{ENVIRONMENTS}/CreateEnvironmentLogsToken", {"environmentId": world["other"]})[
        "accessToken"
    ]
    path = f"/logs/executions/{world['execution']}"
    with served.tcp(token) as client:
        assert client.get(path).status_code == 200
        for route in UNARY:
            assert client.post(route.path, json=request(route, world)).status_code == 403, route.method
        assert client.get("/events").status_code == 403
        assert client.get("/metrics").status_code == 403
    with served.tcp(other) as client:
        assert client.get(path).json()["code"] == "not_found"


def test_an_access_token_uses_its_environment(served: Daemon, api: Api, world: dict[str, str]) -> None:
    """CreateEnvironmentAccessToken."""
    token = api.call(f"{ENVIRONMENTS}/CreateEnvironmentAccessToken", {"environmentId": api.environment})[
        "accessToken"
    ]
    with served.tcp(token) as client:
        assert client.post(f"/{TASKS}/GetTask", json={"id": world["task"]}).status_code == 200
        found = client.post(f"/{ENVIRONMENTS}/ListEnvironments", json={}).json()["environments"]
    assert [one["id"] for one in found] == [api.environment]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", "", "0x7f.1"])
def test_names_that_are_not_ours_are_refused(served: Daemon, api: Api, host: str) -> None:
    """DNS rebinding: a name that a page's owner points at 127.0.0.1."""
    with served.tcp(api.token("ORG_ADMIN")) as client:
        response = client.post(f"/{TASKS}/ListTasks", json={}, headers={"host": host})
        assert response.status_code == 403
        assert client.get("/healthz", headers={"host": host}).status_code == 403
        port = served.address.rpartition(":")[2]
        assert client.get("/healthz", headers={"host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1", "file://"])
def test_pages_of_another_origin_are_refused(served: Daemon, api: Api, origin: str) -> None:
    """With whatever token."""
    with served.tcp(api.token("ORG_ADMIN")) as client:
        assert client.post(f"/{TASKS}/ListTasks", json={}, headers={"origin": origin}).status_code == 403
        own = client.post(f"/{TASKS}/ListTasks", json={}, headers={"origin": served.address})
        assert own.status_code == 200


def test_health_is_open_and_metrics_are_not(served: Daemon, api: Api, world: dict[str, str]) -> None:
    """On TCP a token is needed for whatever tells something."""
    with served.tcp() as client:
        assert client.get("/healthz").text == client.get("/readyz").text == "ok\n"
        assert client.get("/metrics").status_code == client.get("/events").status_code == 401
    text = api.client.get("/metrics").text
    for name in ("executions", "steps_running", "steps_waiting", "event_subscribers", "connections"):
        assert f"\nphased_{name}" in text
    assert 'phased_executions_ended_total{phase="SUCCEEDED"}' in text
    assert "phased_spawn_seconds_count" in text
    assert 'phased_store_seconds_count{operation="save"}' in text
    assert world


@pytest.mark.parametrize("path", [f"/{EVENTS}/WatchEvents", "/events", "/logs/executions/{execution}"])
def test_a_stream_ends_with_the_rights_of_its_reader(served: Daemon, api: Api, path: str) -> None:
    """A token that is revoked: the connection does not outlive it."""
    made = api.call(f"{NATIVE}/CreateToken", {"roles": ["ENVIRONMENT_VIEWER"]})
    lasting = api.start(api.task(f"lasting-{len(path)}", "echo begun; sleep 1000"))
    wait_for(lambda: api.execution(lasting)["status"].get("logUrl"), "a log")
    watches = path.endswith("WatchEvents")
    method, body = "POST" if watches else "GET", "{}" if watches else None
    with (
        served.tcp(made["value"]) as client,
        client.stream(method, path.format(execution=lasting), content=body, headers=JSON) as response,
    ):
        lines = response.iter_lines()
        assert next(lines)
        api.call(f"{NATIVE}/RevokeToken", {"id": made["token"]["id"]})
        for _ in lines:
            pass
    api.call(f"{TASKS}/StopTaskExecution", {"id": lasting})


def test_values_of_secrets_are_in_no_answer_but_their_own(api: Api, world: dict[str, str]) -> None:
    """Neither in lists nor in errors."""
    assert (
        api.call(f"{SECRETS}/GetSecretValue", {"secretId": world["secret"]})["value"] == "of-the-environment"
    )
    assert "of-the-environment" not in str(api.call(f"{SECRETS}/ListSecrets"))
    body = {"name": "x", "value": "hidden-in-this-error", "environmentVariable": True}
    assert "hidden-in-this-error" not in str(api.refused(f"{SECRETS}/CreateSecret", body))


def test_tokens_have_roles_that_the_table_knows(api: Api) -> None:
    """And for another one they are named."""
    code, message = api.refused(f"{NATIVE}/CreateToken", {"roles": ["WEBHOOK_ADMIN"]})
    assert code == "invalid_argument"
    assert all(role.value in message for role in KNOWN_ROLES)


def test_the_socket_is_for_its_owner_alone(served: Daemon) -> None:
    """Mode 0600."""
    assert served.socket.stat().st_mode & 0o777 == 0o600
