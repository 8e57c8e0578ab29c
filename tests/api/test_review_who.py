"""Who, what and where, as clients see it: people, tokens, classes, gateways, order and counts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from tests.api.daemon import ENVIRONMENTS, NATIVE, PATIENCE, TASKS, Api, Daemon, daemon, wait_for

IDENTITY = "gitpod.v1.IdentityService/GetAuthenticatedIdentity"
CLASSES = [
    {"name": "off", "enabled": False, "display_name": "Switched off", "description": "Not now."},
    {"name": "box", "configuration": {"image": "debian:12"}},
]
PREFERRED = [{"class": "off", "order": 1}, {"localRunner": True, "order": 2}, {"class": "box", "order": 3}]
SETTINGS = {
    "PHASED_ORGANIZATION_TIER": "ORGANIZATION_TIER_CORE",
    "PHASED_ORGANIZATION_REGION": "cellar",
    "PHASED_ENVIRONMENTS_CLASSES": json.dumps(CLASSES),
    "PHASED_ENVIRONMENTS_PREFERRED": json.dumps(PREFERRED),
}


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """One with settings of every kind."""
    with daemon() as made:
        made.start("--listen", "127.0.0.1:0", env=SETTINGS)
        yield made


def user_id(served: Daemon) -> str:
    """That of the user of this process."""
    installation = UUID((served.state / "installation").read_text().strip())
    return str(uuid5(installation, f"uid:{os.getuid()}"))


def test_a_local_user_is_a_principal_with_an_id_that_stays(api: Api, served: Daemon) -> None:
    """A UUIDv5 of the installation and the uid; the identity tells the tier of the settings."""
    said = api.call(IDENTITY)
    assert said["subject"] == {"id": user_id(served), "principal": "PRINCIPAL_USER"}
    assert said["organizationTier"] == "ORGANIZATION_TIER_CORE"


def test_a_token_is_its_own_subject_and_makes_things_in_its_name(api: Api, served: Daemon) -> None:
    """With the principal that it was made for."""
    made = api.call(f"{NATIVE}/CreateToken", {"roles": ["ENVIRONMENT_ADMIN"]})
    with served.tcp(made["value"]) as client:
        over_tcp = Api(client)
        subject = {"id": made["token"]["id"], "principal": "PRINCIPAL_USER"}
        assert over_tcp.call(IDENTITY)["subject"] == subject
        task = over_tcp.task("by-a-token", "true")
        execution = over_tcp.start(task)
        assert over_tcp.call(f"{TASKS}/GetTask", {"id": task})["task"]["metadata"]["creator"] == subject
        assert over_tcp.execution(execution)["metadata"]["creator"] == subject


def test_what_a_step_makes_is_its_environments(api: Api, served: Daemon) -> None:
    """A step's token is the principal of its environment, and so is the step on the socket."""
    file = served.workspace / "subject"
    ask = (
        f"curl -sS --unix-socket $PHASED_SOCKET %s -H 'Content-Type: application/json' -d '{{}}' "
        f"http://localhost/{IDENTITY} >> {file}; echo >> {file}"
    )
    shown = ask % '-H "Authorization: Bearer $PHASED_TOKEN"'
    api.run("asks-who-it-is", f"{ask % ''}; {shown}")
    said = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["subject"] for one in said] == [
        {"id": api.environment, "principal": "PRINCIPAL_ENVIRONMENT"}
    ] * 2


def test_who_fired_a_trigger_is_the_creator_of_what_it_starts(api: Api, served: Daemon) -> None:
    """Tasks, services and executions name who asked."""
    content = json.dumps(
        {
            "tasks": {"fired": {"command": "true", "triggeredBy": ["prebuild"]}},
            "services": {"idle": {"commands": {"start": "exec sleep 1000"}}},
        }
    )
    api.call(f"{NATIVE}/ApplyFile", {"environmentId": api.environment, "content": content})
    me = {"id": user_id(served), "principal": "PRINCIPAL_USER"}
    (service,) = api.call(f"{TASKS}/ListServices", {"filter": {"references": ["idle"]}})["services"]
    assert service["metadata"]["creator"] == me
    made = api.call(f"{NATIVE}/CreateToken", {"roles": ["ENVIRONMENT_ADMIN"]})
    with served.tcp(made["value"]) as client:
        body = {"environmentId": api.environment, "trigger": "prebuild"}
        Api(client).call(f"{NATIVE}/FireTrigger", body)
    listing = {"filter": {"taskReferences": ["fired"]}}
    (found,) = wait_for(
        lambda: api.call(f"{TASKS}/ListTaskExecutions", listing).get("taskExecutions"), "it was fired"
    )
    assert found["metadata"]["creator"] == {"id": made["token"]["id"], "principal": "PRINCIPAL_USER"}
    assert found["metadata"]["startedBy"] == "prebuild"


def test_classes_are_listed_in_the_settings_words(api: Api) -> None:
    """Also one that is disabled; of this daemon's runner; with what is known of them."""
    said = api.call(f"{ENVIRONMENTS}/ListEnvironmentClasses")["environmentClasses"]
    (runner,) = api.call("gitpod.v1.RunnerService/ListRunners")["runners"]
    assert {one["runnerId"] for one in said} == {runner["runnerId"]}
    by_name = {one["displayName"]: one for one in said}
    assert not by_name["Switched off"].get("enabled")
    assert [one["configuration"] for one in said if "configuration" in one] == [
        [{"key": "image", "value": "debian:12"}]
    ]
    enabled = {"filter": {"enabled": True}}
    assert len(api.call(f"{ENVIRONMENTS}/ListEnvironmentClasses", enabled)["environmentClasses"]) == 2


def test_a_disabled_class_makes_no_environment(api: Api) -> None:
    """`failed_precondition`; without a class the enabled one of the lowest order is taken."""
    said = api.call(f"{ENVIRONMENTS}/ListEnvironmentClasses")["environmentClasses"]
    off = next(one["id"] for one in said if one["displayName"] == "Switched off")
    local = next(one["id"] for one in said if one["displayName"] == "This machine")
    body = {"spec": {"machine": {"class": off}}}
    assert api.refused(f"{ENVIRONMENTS}/CreateEnvironment", body)[0] == "failed_precondition"
    made = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {})["environment"]
    assert made["spec"]["machine"]["class"] == local


def test_each_listener_is_a_gateway_of_the_region(api: Api, served: Daemon) -> None:
    """Names are unique."""
    said = api.call("gitpod.v1.GatewayService/ListGateways")["gateways"]
    assert said == [
        {"name": "socket", "url": "http://localhost", "region": "cellar"},
        {"name": "tcp", "url": served.address, "region": "cellar"},
    ]


def test_executions_are_sorted_and_counted(api: Api) -> None:
    """By a field of the message; ascending unless it says otherwise; a count that is asked for is exact."""
    task = api.task("sorted", "true")
    made = [api.start(task) for _ in range(4)]
    for execution in made:
        api.until(execution, "SUCCEEDED")

    def query(**sort: str) -> list[str]:
        body = {"references": ["sorted"], "sort": sort, "count": {"include": True}}
        said = api.call(f"{NATIVE}/QueryTaskExecutions", body)
        assert said["count"] == {"value": 4, "relation": "COUNT_RESPONSE_RELATION_EQ"}
        return [one["id"] for one in said["taskExecutions"]]

    assert query(field="createdAt") == made
    assert query(field="createdAt", order="SORT_ORDER_UNSPECIFIED") == made
    assert query(field="createdAt", order="SORT_ORDER_DESC") == made[::-1]
    assert query(field="taskId") == sorted(made)
    assert query(field="startedBy", order="SORT_ORDER_DESC") == sorted(made)
    body = {"sort": {"field": "created_at"}}
    code, message = api.refused(f"{NATIVE}/QueryTaskExecutions", body)
    assert code == "invalid_argument"
    assert "createdAt" in message


@pytest.mark.parametrize("status", ["SUSPENDED", "LEFT"])
def test_who_is_not_served_any_more_is_refused_and_what_runs_goes_on(status: str) -> None:
    """Also with a token that was made before; a step that runs does not notice."""
    with daemon() as made:
        settings = {"PHASED_DAEMON_ON_STOP": "keep"}
        process = made.start("--listen", "127.0.0.1:0", env=settings)
        api = Api(made.client())
        token = api.token("ENVIRONMENT_ADMIN")
        gate, done = made.workspace / "gate", made.workspace / "done"
        execution = api.start(api.task("lasting", f"while [ ! -e {gate} ]; do sleep 0.1; done; touch {done}"))
        api.until(execution, "RUNNING")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        settings["PHASED_ACCESS_USERS"] = f"{os.getuid()}={status}"
        made.start("--listen", "127.0.0.1:0", env=settings)
        with made.client() as local, made.tcp(token) as remote:
            for client in (local, remote):
                answer = client.post(f"/{TASKS}/ListTasks", json={})
                assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
        gate.touch()
        wait_for(done.exists, "the step went on")


def test_an_orphan_that_hides_is_refused(api: Api, served: Daemon) -> None:
    """It comes from a step, and does not show of which environment: `permission_denied`, not an admin."""
    script, answer = served.workspace / "ask.py", served.workspace / "answer"
    script.write_text(
        "import os, socket, sys, time\n"
        "path, answer, body = sys.argv[1], sys.argv[2], b'{}'\n"
        "leader = int(sys.argv[3])\n"
        "while os.path.exists(f'/proc/{leader}'): time.sleep(0.05)\n"
        "with socket.socket(socket.AF_UNIX) as client:\n"
        "    client.connect(path)\n"
        f"    client.sendall(b'POST /{TASKS}/ListTasks HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n'\n"
        "                   b'Content-Type: application/json\\r\\nContent-Length: 2\\r\\n\\r\\n{}')\n"
        "    text = b''\n"
        "    while block := client.recv(65536): text += block\n"
        "with open(answer + '.new', 'wb') as file: file.write(text)\n"
        "os.rename(answer + '.new', answer)\n"
    )
    python = Path("/proc/self/exe").resolve()
    hidden = f"(env -i setsid {python} {script} {served.socket} {answer} $$ >/dev/null 2>&1 &)"
    api.run("leaves-an-orphan", hidden)
    wait_for(answer.exists, "the orphan was answered")
    text = answer.read_text()
    assert " 403 " in text.splitlines()[0]
    assert '"permission_denied"' in text
