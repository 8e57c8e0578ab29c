"""Logs over HTTP: replay and follow, parts of them, and what they hide."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.api.daemon import ENVIRONMENTS, NATIVE, NOBODY, SECRETS, TASKS, Api, Daemon, wait_for


def test_a_log_is_replayed_and_followed_to_its_end(api: Api, served: Daemon) -> None:
    """A plain GET: from the start, until the run has ended."""
    gate = served.workspace / "gate"
    command = f"echo first; while [ ! -e {gate} ]; do sleep 0.05; done; echo last"
    execution = api.start(api.task("followed", command))
    url = wait_for(lambda: api.execution(execution)["status"].get("logUrl"), "a log")
    with served.client() as other, other.stream("GET", url) as response:
        assert response.headers["content-type"].startswith("text/plain")
        lines = response.iter_lines()
        assert next(lines) == "first"
        gate.touch()
        assert list(lines) == ["last"]
    assert api.client.get(url, params={"follow": "0"}).text == "first\nlast\n"


def test_the_address_is_absent_until_there_is_something_to_read(api: Api) -> None:
    """Never empty."""
    first = api.task("slow-start", "sleep 1000")
    second = api.task("after-slow", "true", dependsOn=[first])
    started = api.call(f"{TASKS}/StartTask", {"id": second})["taskExecution"]
    assert "logUrl" not in started["status"]
    api.until(started["id"], "RUNNING")
    wait_for(lambda: api.execution(started["id"])["status"].get("logUrl"), "a log")
    api.call(f"{TASKS}/StopTaskExecution", {"id": started["id"]})
    api.until(started["id"], "STOPPED")


def test_lines_of_several_steps_say_whose_they_are(api: Api) -> None:
    """And one step's is as it was written."""
    first = api.task("one", "printf 'a\\nb'")
    second = api.task("two", "echo c", dependsOn=[first])
    execution = api.until(api.start(second), "SUCCEEDED")
    url = execution["status"]["logUrl"]
    assert api.client.get(url).text == "one | a\none | b\ntwo | c\n"
    assert api.client.get(url, params={"step": "one"}).content == b"a\nb"
    assert api.client.get(url, params={"step": "two", "follow": "0"}).text == "c\n"
    refused = api.client.get(url, params={"step": "three"})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    assert "one, two" in refused.json()["message"]


@pytest.mark.parametrize(
    ("tail", "lines"), [("2", ["8", "9"]), ("0", []), ("100", [str(n) for n in range(10)])]
)
def test_the_last_lines_alone(api: Api, tail: str, lines: list[str]) -> None:
    """`?tail=`."""
    execution = api.run(f"tailed-{tail}", "for n in 0 1 2 3 4 5 6 7 8 9; do echo $n; done")
    assert api.client.get(execution["status"]["logUrl"], params={"tail": tail}).text.split() == lines


@pytest.mark.parametrize("query", [{"tail": "-1"}, {"tail": "x"}, {"follow": "maybe"}])
def test_parts_that_make_no_sense_are_refused(api: Api, query: dict[str, str]) -> None:
    """Not guessed."""
    execution = api.run(f"odd-{next(iter(query.values()))}", "true")
    assert api.client.get(execution["status"]["logUrl"], params=query).json()["code"] == "invalid_argument"


@pytest.mark.parametrize(
    ("header", "status", "content", "told"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, None),
        ("bytes=3-1", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
    ],
)
def test_ranges_of_one_step(
    api: Api, header: str, status: int, content: bytes | None, told: str | None
) -> None:
    """As RFC 9110 has them; what is no single range is passed over."""
    execution = api.run(f"ranged-{abs(hash(header))}", "printf 0123456789")
    response = api.client.get(execution["status"]["logUrl"], headers={"range": header})
    assert response.status_code == status
    assert response.headers.get("content-range") == told
    if content is not None:
        assert response.content == content
    head = api.client.head(execution["status"]["logUrl"], headers={"range": header})
    assert (head.status_code, head.content) == (status, b"")


def test_secrets_are_masked_character_for_character(api: Api) -> None:
    """In the whole and in ranges, also where a range cuts through one."""
    value = "hunter2-and-more"
    scope = {"projectId": api.environment}
    body = {"name": "MASKED", "value": value, "environmentVariable": True, "scope": scope}
    api.call(f"{SECRETS}/CreateSecret", body)
    execution = api.run("tells-all", 'echo "before $MASKED after"')
    url = execution["status"]["logUrl"]
    shown = f"before {'*' * len(value)} after\n"
    assert api.client.get(url).text == shown
    for first in range(len(shown)):
        part = api.client.get(url, headers={"range": f"bytes={first}-{first + 3}"}).text
        assert part == shown[first : first + 4]


def test_a_log_without_output_is_empty(api: Api) -> None:
    """And its address is told all the same: who waits for it would wait for ever."""
    execution = api.run("says-nothing", "true")
    response = api.client.get(execution["status"]["logUrl"])
    assert (response.status_code, response.content) == (200, b"")


def test_a_large_log_costs_no_memory(api: Api, served: Daemon) -> None:
    """It is read in blocks, as fast as the reader reads."""
    execution = api.run("large-log", "head -c 64000000 /dev/zero | tr '\\0' x")
    before = _resident(served)
    with served.client() as other, other.stream("GET", execution["status"]["logUrl"]) as response:
        size = sum(len(block) for block in response.iter_bytes())
    assert size == 64_000_000
    assert _resident(served) - before < 16_000_000


def test_the_log_of_a_service(api: Api, served: Daemon) -> None:
    """Followed until it stops; absent before its first start."""
    body = {
        "environmentId": api.environment,
        "metadata": {"reference": "talks"},
        "spec": {"commands": {"start": "echo serving; exec sleep 1000"}},
    }
    service = api.call(f"{TASKS}/CreateService", body)["service"]
    assert "logUrl" not in service["status"]
    api.call(f"{TASKS}/StartService", {"id": service["id"]})

    def url() -> str | None:
        status = api.call(f"{TASKS}/GetService", {"id": service["id"]})["service"]["status"]
        found: str | None = status.get("logUrl")
        return found

    address = wait_for(url, "a log")
    with served.client() as other, other.stream("GET", address) as response:
        lines = response.iter_lines()
        assert next(lines) == "serving"
        api.call(f"{TASKS}/StopService", {"id": service["id"]})
        assert list(lines) == []


@pytest.mark.parametrize(
    "path", [f"/logs/executions/{NOBODY}", f"/logs/services/{NOBODY}", "/logs/executions/..%2f..%2fx"]
)
def test_logs_of_nothing_are_not_found(api: Api, path: str) -> None:
    """With an error of the API's form."""
    response = api.client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_over_tcp_the_address_is_where_the_client_came_in(served: Daemon, api: Api) -> None:
    """With the token that CreateEnvironmentLogsToken gives."""
    execution = api.run("over-tcp", "echo there")
    token = api.call(f"{ENVIRONMENTS}/CreateEnvironmentLogsToken", {"environmentId": api.environment})[
        "accessToken"
    ]
    with served.tcp(api.token("ENVIRONMENT_VIEWER")) as client:
        url = Api(client, api.environment).execution(execution["id"])["status"]["logUrl"]
    assert url.startswith(served.address)
    with served.tcp(token) as client:
        assert client.get(url).text == "there\n"
    with served.tcp() as client:
        assert client.get(url).status_code == 401


def _resident(served: Daemon) -> int:
    """Bytes that the daemon holds in memory."""
    text = Path(f"/proc/{served.pid}/statm").read_text()
    return int(text.split()[1]) * 4096


def test_logs_are_described_with_their_sizes(api: Api, served: Daemon) -> None:
    """Of every step, in the order of the plan; of a service, its newest session."""
    first = api.task("described-1", "printf 12345")
    last = api.task("described-2", "true", dependsOn=[first])
    execution = api.until(api.start(last), "SUCCEEDED")["id"]
    told = api.call(f"{NATIVE}/DescribeLogs", {"taskExecutionId": execution.upper()})
    assert told["ended"] is True
    assert [(one["label"], one.get("size"), one["phase"]) for one in told["logs"]] == [
        ("described-1", 5, "TASK_EXECUTION_PHASE_SUCCEEDED"),
        ("described-2", None, "TASK_EXECUTION_PHASE_SUCCEEDED"),
    ]
    path = served.state / "runs" / execution / f"{told['logs'][0]['id']}.log"
    with path.open("wb") as file:
        file.truncate(2**16)
        file.seek(0, 2)
        file.write(b"rest\nwhole\n")
    (dropped, _) = api.call(f"{NATIVE}/DescribeLogs", {"taskExecutionId": execution})["logs"]
    assert (dropped["size"], dropped["firstByte"]) == (2**16 + 11, 2**16 + 5)
    running = api.start(api.task("described-3", "echo; sleep 1000"))
    wait_for(
        lambda: api.call(f"{NATIVE}/DescribeLogs", {"taskExecutionId": running})["logs"][0].get("size"),
        "a log",
    )
    assert "ended" not in api.call(f"{NATIVE}/DescribeLogs", {"taskExecutionId": running})
    api.call(f"{TASKS}/StopTaskExecution", {"id": running})


def test_logs_are_described_of_one_thing_that_is_there(api: Api) -> None:
    """Not of none, not of two, not of what is not there."""
    assert api.refused(f"{NATIVE}/DescribeLogs", {})[0] == "invalid_argument"
    both = {"taskExecutionId": NOBODY, "serviceId": NOBODY}
    assert api.refused(f"{NATIVE}/DescribeLogs", both)[0] == "invalid_argument"
    assert api.refused(f"{NATIVE}/DescribeLogs", {"serviceId": NOBODY})[0] == "not_found"
    assert api.refused(f"{NATIVE}/DescribeLogs", {"taskExecutionId": NOBODY})[0] == "not_found"


def test_a_log_is_read_on_from_a_byte(api: Api) -> None:
    """`?from=`, masked as in the whole, wherever that cuts through a secret; beyond the end it is told."""
    value = "a-seam-of-secrets"
    scope = {"projectId": api.environment}
    body = {"name": "SEAM", "value": value, "environmentVariable": True, "scope": scope}
    api.call(f"{SECRETS}/CreateSecret", body)
    url = api.run("read-on", 'echo "before $SEAM after"')["status"]["logUrl"]
    shown = f"before {'*' * len(value)} after\n"
    for start in range(len(shown) + 1):
        assert api.client.get(url, params={"from": str(start)}).text == shown[start:]
    assert "was cut short" in api.client.get(url, params={"from": "1000"}).text
    for odd in ("-1", "x", "1,2", "9" * 19):
        assert api.client.get(url, params={"from": odd}).json()["code"] == "invalid_argument"


def test_frames_say_where_to_go_on(api: Api) -> None:
    """In each part by itself; one that is not known yet begins as for anybody."""
    first = api.task("framed-1", "printf 'a\\nb\\n'")
    execution = api.until(api.start(api.task("framed-2", "echo c", dependsOn=[first])), "SUCCEEDED")
    url = execution["status"]["logUrl"]
    framed = api.client.get(url, params={"framed": "1", "tail": "1"})
    assert framed.headers["content-type"] == "application/x-phased-log"
    assert framed.text == "log 0 4 13\nframed-1 | b\nlog 1 2 13\nframed-2 | c\nend 0 0 0\n"
    again = api.client.get(url, params={"framed": "1", "tail": "1", "from": "2,"})
    assert again.text == framed.text
    over = api.client.get(url, params={"framed": "1", "from": "4,2"})
    assert over.text == "end 0 0 0\n"
    assert api.client.get(url, params={"from": ",2"}).text == "framed-1 | a\nframed-1 | b\n"


def test_a_step_that_has_not_started_has_no_log_and_that_is_no_error(api: Api) -> None:
    """Nor has one that could not be started."""
    first = api.task("fails-first", "exit 1")
    execution = api.until(api.start(api.task("never-starts", "echo", dependsOn=[first])), "FAILED")
    url = execution["status"]["logUrl"]
    for step in ("never-starts", "fails-first"):
        response = api.client.get(url, params={"step": step})
        assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("how", ["gone", "fifo"])
def test_a_log_that_is_gone_is_told_among_others(api: Api, served: Daemon, how: str) -> None:
    """In a line, as is told what was dropped; the others are shown."""
    first = api.task(f"{how}-1", "echo a")
    execution = api.until(api.start(api.task(f"{how}-2", "echo b", dependsOn=[first])), "SUCCEEDED")
    step = execution["spec"]["plan"][0]["steps"][0]["id"]
    log = served.state / "runs" / execution["id"] / f"{step}.log"
    log.unlink()
    said = f"its log is gone: {log} was deleted or moved"
    if how == "fifo":
        os.mkfifo(log)
        said = f"cannot read the log {log}: it is no regular file; remove what is in its place"
    for follow in ("0", "1"):
        text = api.client.get(execution["status"]["logUrl"], params={"follow": follow}).text
        assert text == f"{how}-1 | … {said} …\n{how}-2 | b\n"


def test_who_reads_a_session_of_a_service_goes_on_with_that(api: Api) -> None:
    """`?session=`, as the answer told it: a newer one is another log."""
    body = {
        "environmentId": api.environment,
        "metadata": {"reference": "sessions"},
        "spec": {"commands": {"start": "echo $RANDOM$$; exec sleep 1000"}},
    }
    service = api.call(f"{TASKS}/CreateService", body)["service"]["id"]
    url = f"/logs/services/{service}"
    api.call(f"{TASKS}/StartService", {"id": service})
    first = wait_for(lambda: api.client.get(url, params={"follow": "0"}).text, "it writes")
    session = api.client.get(url, params={"follow": "0"}).headers["phased-session"]
    api.call(f"{NATIVE}/RestartService", {"id": service})
    wait_for(
        lambda: api.client.get(url, params={"follow": "0"}).headers["phased-session"] != session,
        "a newer one",
    )
    wait_for(lambda: api.client.get(url, params={"follow": "0"}).text not in {"", first}, "that writes")
    assert api.client.get(url, params={"session": session}).text == first
    assert api.client.get(url, params={"session": session, "step": "ready"}).text == ""
    for odd in ("../x", NOBODY.upper()):
        assert api.client.get(url, params={"session": odd}).json()["code"] == "not_found"
    api.call(f"{TASKS}/StopService", {"id": service})
