"""Streams of events: live before they answer, nothing missed, resumed without a gap or with a told one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.daemon import ENVIRONMENTS, EVENTS, NOBODY, TASKS, Api, Daemon, wait_for

WATCH = f"/{EVENTS}/WatchEvents"
JSONL = {"accept": "application/jsonl"}


def events(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The objects of JSON Lines; a blank line, which crashes a client, fails the test."""
    assert response.status_code == 200, response.read()
    assert response.headers["content-type"] == "application/jsonl"
    for line in response.iter_lines():
        assert line
        yield json.loads(line)


def about(found: Iterator[dict[str, Any]], identifier: str) -> Iterator[dict[str, Any]]:
    """The events of one resource."""
    return (event for event in found if event.get("resourceId") == identifier)


def test_a_watch_is_live_when_it_answers(api: Api, served: Daemon) -> None:
    """The first line is empty; whatever happens after the headers is told."""
    with (
        served.client() as other,
        api.client.stream("POST", WATCH, json={"environmentId": api.environment}, headers=JSONL) as response,
    ):
        watcher = Api(other, api.environment)
        found = events(response)
        assert next(found) == {}
        task = watcher.task("watched", "true")
        execution = watcher.start(task)
        made = next(about(found, task))
        assert made == {
            "operation": "RESOURCE_OPERATION_CREATE",
            "resourceType": "RESOURCE_TYPE_TASK",
            "resourceId": task,
        }
        operations = [next(about(found, execution))["operation"]]
        while watcher.phase(execution) != "SUCCEEDED":
            operations.append(next(about(found, execution))["operation"])
    assert operations[0] in {"RESOURCE_OPERATION_CREATE", "RESOURCE_OPERATION_UPDATE_STATUS"}
    assert set(operations[1:]) <= {"RESOURCE_OPERATION_UPDATE_STATUS"}


def test_a_log_can_be_waited_for_as_clients_do(api: Api, served: Daemon) -> None:
    """Read, subscribe, read again, then read at each event: the address comes, also without output."""
    execution = api.start(api.task("silent", "sleep 0.2"))
    with (
        served.client() as other,
        other.stream("POST", WATCH, json={"environmentId": api.environment}) as response,
    ):
        found = events(response)
        next(found)
        while not (url := api.execution(execution)["status"].get("logUrl")):
            next(about(found, execution))
    assert url == f"http://localhost/logs/executions/{execution}"


def test_scopes_tell_what_they_should(api: Api, served: Daemon) -> None:
    """An environment's: its own resources. The organization's: environments, not what is in them."""
    with (
        served.client() as first,
        served.client() as second,
        first.stream("POST", WATCH, json={}) as whole,
        second.stream("POST", WATCH, json={"environmentId": api.environment}) as one,
    ):
        of_all, of_one = events(whole), events(one)
        next(of_all), next(of_one)
        task = api.task("scoped", "true")
        made = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {"name": "scoped"})["environment"]["id"]
        api.call(f"{TASKS}/DeleteTask", {"id": task})
        while (seen := next(of_all)).get("resourceId") != made:
            assert seen.get("resourceType") in {None, "RESOURCE_TYPE_ENVIRONMENT"}
        told = [next(about(of_one, task))["operation"] for _ in range(2)]
    assert told == ["RESOURCE_OPERATION_CREATE", "RESOURCE_OPERATION_DELETE"]


def test_filters_narrow_the_organizations_scope(api: Api, served: Daemon) -> None:
    """By kind, id and creator."""
    wanted = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {"name": "wanted"})["environment"]["id"]
    filters = [{"resourceType": "RESOURCE_TYPE_ENVIRONMENT", "resourceIds": [wanted]}]
    body = {"organization": True, "resourceTypeFilters": filters}
    with served.client() as other, other.stream("POST", WATCH, json=body) as response:
        found = events(response)
        next(found)
        api.call(f"{ENVIRONMENTS}/CreateEnvironment", {"name": "not wanted"})
        api.call(
            f"{ENVIRONMENTS}/UpdateEnvironment", {"environmentId": wanted, "metadata": {"name": "new name"}}
        )
        while (event := next(found))["operation"] != "RESOURCE_OPERATION_UPDATE":
            assert event["resourceId"] == wanted
    assert event["resourceId"] == wanted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"environmentId": NOBODY}, "not_found"),
        ({"environmentId": "../../etc"}, "not_found"),
        ({"environmentId": NOBODY, "organization": True}, "invalid_argument"),
        ({"resourceTypeFilters": [{}]}, "invalid_argument"),
        ({"resourceTypeFilters": [{"resourceType": "RESOURCE_TYPE_ENVIRONMENT"}] * 51}, "invalid_argument"),
    ],
)
def test_watches_that_make_no_sense_are_refused(api: Api, body: dict[str, Any], code: str) -> None:
    """Before the stream begins."""
    assert api.refused(WATCH[1:], body, headers=JSONL)[0] == code


def test_filters_go_with_the_organization_alone(api: Api) -> None:
    """Rule 3."""
    body = {"environmentId": api.environment, "resourceTypeFilters": [{"resourceType": "RESOURCE_TYPE_TASK"}]}
    assert api.refused(WATCH[1:], body, headers=JSONL)[0] == "invalid_argument"


def test_readers_that_go_away_are_forgotten(api: Api, served: Daemon) -> None:
    """In the middle of a stream, without a word."""
    body = json.dumps({}).encode()
    fields = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST {WATCH} HTTP/1.1\r\n{fields}\r\n\r\n"
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(60)
            raw.connect(str(served.socket))
            raw.sendall(head.encode() + body)
            assert raw.recv(4096).startswith(b"HTTP/1.1 200")
    wait_for(
        lambda: "phased_event_subscribers 0.0" in api.client.get("/metrics").text, "no subscriber is left"
    )


# ---- server-sent events ------------------------------------------------------------------------------


class Sent:
    """A stream of server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()

    def next(self) -> tuple[str, int, dict[str, Any]]:
        """The next event: its name, its id (0: none) and its data."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                return fields["event"], int(fields.get("id", 0)), json.loads(fields["data"])
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        raise AssertionError("the stream has ended")

    def until(self, identifier: str, phase: str) -> tuple[int, list[str]]:
        """Read until an execution is in a phase: the id of that event, and the phases on the way."""
        phases: list[str] = []
        while True:
            _, sequence, data = self.next()
            if data.get("resourceId") == identifier and "status" in data:
                assert data["statusVersion"] == data["status"]["statusVersion"]
                phases.append(data["status"]["phase"].removeprefix("TASK_EXECUTION_PHASE_"))
                if phases[-1] == phase:
                    return sequence, phases


def test_a_snapshot_and_then_every_status(api: Api, served: Daemon) -> None:
    """The snapshot holds what lives; each change comes with its version and the steps that changed."""
    running = api.start(api.task("lives-on", "sleep 1000"))
    api.until(running, "RUNNING")
    with served.client() as other, other.stream("GET", "/events") as response:
        sent = Sent(response)
        name, begin, snapshot = sent.next()
        assert name == "snapshot"
        assert running in {one["id"] for one in snapshot["taskExecutions"]}
        assert {"environments", "services", "tasks"} <= set(snapshot)
        execution = api.start(api.task("sent", "true"))
        end, phases = sent.until(execution, "SUCCEEDED")
        assert end > begin
        assert phases[-1] == "SUCCEEDED"
        api.call(f"{TASKS}/StopTaskExecution", {"id": running})
        sent.until(running, "STOPPED")


@pytest.mark.parametrize("way", ["header", "query"])
def test_a_stream_is_resumed_without_a_gap(api: Api, served: Daemon, way: str) -> None:
    """What happened while nobody read comes first, and no snapshot."""
    with served.client() as other, other.stream("GET", "/events") as response:
        _, last, _ = Sent(response).next()
    execution = api.run(f"missed-{way}", "true")["id"]
    options: dict[str, Any] = (
        {"headers": {"last-event-id": str(last)}} if way == "header" else {"params": {"since": str(last)}}
    )
    with served.client() as other, other.stream("GET", "/events", **options) as response:
        sent = Sent(response)
        name, sequence, _ = sent.next()
        assert (name, sequence) == ("change", last + 1)
        sent.until(execution, "SUCCEEDED")


def test_a_gap_is_told(served: Daemon, api: Api) -> None:
    """Of another daemon's life, or too long ago; then comes a snapshot."""
    with served.client() as other, other.stream("GET", "/events", params={"since": "1"}) as response:
        sent = Sent(response)
        assert sent.next()[0] == "gap"
        assert sent.next()[0] == "snapshot"
    assert api.client.get("/events", params={"since": "x"}).json()["code"] == "invalid_argument"


def test_a_stream_of_one_environment(api: Api, served: Daemon) -> None:
    """Nothing of others."""
    other_environment = api.call(f"{ENVIRONMENTS}/CreateEnvironment", {"name": "apart"})["environment"]["id"]
    with (
        served.client() as other,
        other.stream("GET", "/events", params={"environmentId": other_environment}) as response,
    ):
        sent = Sent(response)
        _, _, snapshot = sent.next()
        assert [one["id"] for one in snapshot["environments"]] == [other_environment]
        api.task("elsewhere", "true")
        api.call(f"{ENVIRONMENTS}/StopEnvironment", {"environmentId": other_environment})
        _, _, data = sent.next()
        assert data["environmentId"] == other_environment
    assert api.client.get("/events", params={"environmentId": NOBODY}).status_code == 404
