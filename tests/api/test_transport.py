"""How requests travel: encodings, compression, sizes, paths and what is refused before any method sees it."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from phased.api.binary import Schema
from phased.contract.base import Message, from_json
from phased.contract.event import WatchEventsRequest, WatchEventsResponse
from phased.contract.task_calls import GetTaskRequest, GetTaskResponse
from tests.api.daemon import EVENTS, NOBODY, TASKS, Api, Daemon

LIST = f"/{TASKS}/ListTasks"


def packed(message: Message) -> bytes:
    """In binary."""
    return Schema().encode(message)


@pytest.mark.parametrize("headers", [{}, {"connect-protocol-version": "1"}, {"accept": "application/jsonl"}])
def test_json_is_answered_with_and_without_the_protocols_header(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    """Clients of the first generation do not send it."""
    response = client.post(LIST, json={}, headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


def test_both_prefixes_answer_the_same(api: Api) -> None:
    """`/` and `/api/`."""
    api.task("prefix", "true")
    assert api.call(f"{TASKS}/ListTasks") == api.call(f"api/{TASKS}/ListTasks")


def test_binary_requests_are_answered_in_binary(api: Api) -> None:
    """`application/proto`, both ways."""
    task = api.task("binary", "echo binary")
    headers = {"content-type": "application/proto", "connect-protocol-version": "1"}
    body = packed(GetTaskRequest(id=task))
    response = api.client.post(f"/{TASKS}/GetTask", content=body, headers=headers)
    assert response.headers["content-type"] == "application/proto"
    answer = Schema().decode(response.content, GetTaskResponse)
    assert answer == from_json(GetTaskResponse, api.call(f"{TASKS}/GetTask", {"id": task}))


def test_errors_of_binary_requests_are_json(client: httpx.Client) -> None:
    """The protocol has no other."""
    response = client.post(
        f"/{TASKS}/GetTask",
        content=packed(GetTaskRequest(id=NOBODY)),
        headers={"content-type": "application/proto"},
    )
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.headers["content-type"] == "application/json"


def test_a_stream_in_envelopes_is_live_at_its_first_message(served: Daemon, api: Api) -> None:
    """`application/connect+proto`: the first message is empty, the next is the change."""
    body = packed(WatchEventsRequest(environment_id=api.environment))
    envelope = struct.pack(">BI", 0, len(body)) + body
    headers = {"content-type": "application/connect+proto"}
    with api.client.stream("POST", f"/{EVENTS}/WatchEvents", content=envelope, headers=headers) as response:
        assert response.headers["content-type"] == "application/connect+proto"
        frames = envelopes(response)
        assert next(frames) == (0, b"")
        task = Api(served.client()).task("enveloped", "true")
        flags, message = next(frames)
    event = Schema().decode(message, WatchEventsResponse)
    assert (flags, event.resource_id, event.operation) == (0, task, "RESOURCE_OPERATION_CREATE")


def test_a_stream_that_is_refused_says_so_in_its_last_envelope(client: httpx.Client) -> None:
    """The status is 200; the error is in the end of the stream."""
    body = json.dumps({"environmentId": NOBODY}).encode()
    response = client.post(
        f"/{EVENTS}/WatchEvents",
        content=struct.pack(">BI", 0, len(body)) + body,
        headers={"content-type": "application/connect+json"},
    )
    ((flags, message),) = list(envelopes(response))
    assert (response.status_code, flags) == (200, 2)
    assert json.loads(message)["error"]["code"] == "not_found"


def test_answers_are_compressed_for_who_takes_that(client: httpx.Client) -> None:
    """Gzip both ways."""
    headers = {"content-type": "application/json", "content-encoding": "gzip", "accept-encoding": "gzip"}
    response = client.post(LIST, content=gzip.compress(b"{}"), headers=headers)
    assert (response.status_code, response.headers["content-encoding"]) == (200, "gzip")
    plain = client.post(LIST, json={}, headers={"accept-encoding": "identity"})
    assert response.json() == plain.json()


def test_reading_methods_answer_get_too(api: Api) -> None:
    """As the protocol has it for what has no side effects."""
    task = api.task("got", "true")
    query = {"encoding": "json", "message": json.dumps({"id": task})}
    assert api.client.get(f"/{TASKS}/GetTask", params=query).json()["task"]["id"] == task
    response = api.client.get(f"/{TASKS}/StartTask", params=query)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_the_query_continues_a_list(api: Api) -> None:
    """Clients of the first generation repeat the body and send the token as a parameter."""
    for number in range(5):
        api.task(f"paged-{number}", "true")
    body = {"pagination": {"pageSize": 2}}
    seen: list[str] = []
    params: dict[str, str] = {}
    while True:
        page = api.call(f"{TASKS}/ListTasks", body, params=params)
        seen += [task["id"] for task in page["tasks"]]
        if not (token := page["pagination"].get("nextToken")):
            break
        params = {"token": token}
    assert (
        len(seen)
        == len(set(seen))
        == len(api.call(f"{TASKS}/ListTasks", {"pagination": {"pageSize": 100}})["tasks"])
    )
    assert len(api.call(f"{TASKS}/ListTasks", body, params={"pageSize": "3"})["tasks"]) == 3


@pytest.mark.parametrize(
    "params", [{"token": "nonsense"}, {"pageSize": "-1"}, {"pageSize": "101"}, {"pageSize": "x"}]
)
def test_a_bad_continuation_is_refused(api: Api, params: dict[str, str]) -> None:
    """Not passed over: the client would loop for ever."""
    assert api.refused(f"{TASKS}/ListTasks", params=params)[0] == "invalid_argument"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/{TASKS}/Nothing", 501, "unimplemented"),
        ("/gitpod.v1.OtherService/Get", 501, "unimplemented"),
        ("/nothing", 404, "not_found"),
        ("/", 404, "not_found"),
        ("/api", 404, "not_found"),
        (f"/{TASKS}", 404, "not_found"),
        (f"/{TASKS}/ListTasks/more", 404, "not_found"),
        ("/../../etc/passwd", 404, "not_found"),
        ("/%2e%2e/%2e%2e/etc/passwd", 404, "not_found"),
    ],
)
def test_unknown_paths_are_errors_of_connect(client: httpx.Client, path: str, status: int, code: str) -> None:
    """A 404 without a body would be read as unimplemented."""
    response = client.post(path, json={})
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/xml",
        "application/grpc",
        "application/grpc+proto",
        "application/connect+json",
    ],
)
def test_another_content_type_is_refused(client: httpx.Client, content_type: str) -> None:
    """With 415 and a body that says which would do."""
    response = client.post(LIST, content=b"{}", headers={"content-type": content_type})
    assert (response.status_code, response.json()["code"]) == (415, "invalid_argument")
    assert "application/json" in response.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b"nul",
        b"{'id': 1}",
        b"\xff\xfe",
        b'{"id":"\xff"}',
        b'{"a":NaN}',
        b"[" * 100_000,
        b'{"a":' * 9000,
    ],
)
def test_malformed_json_is_an_invalid_argument(client: httpx.Client, body: bytes) -> None:
    """And the daemon goes on."""
    response = client.post(LIST, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")
    assert client.post(LIST, json={}).status_code == 200


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"{}", b"\x0a\x05abc"])
def test_malformed_protobuf_is_an_invalid_argument(client: httpx.Client, body: bytes) -> None:
    """And the daemon goes on."""
    response = client.post(LIST, content=body, headers={"content-type": "application/proto"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")


def test_malformed_compression_is_an_invalid_argument(client: httpx.Client) -> None:
    """Neither a wrong stream nor an unknown name is a failure of the daemon."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert client.post(LIST, content=b"no gzip", headers=headers).json()["code"] == "invalid_argument"
    headers["content-encoding"] = "lzma"
    assert client.post(LIST, content=b"{}", headers=headers).json()["code"] == "unimplemented"


def test_what_is_unknown_in_json_is_passed_over(api: Api) -> None:
    """As protobuf runtimes do; names in snake_case are known too."""
    task = api.task("unknown", "true")
    found = api.call(
        f"{TASKS}/ListTasks", {"filter": {"task_ids": [task], "colour": "red"}, "more": {"a": [1]}}
    )
    assert [one["id"] for one in found["tasks"]] == [task]


def test_an_empty_body_is_an_empty_message(client: httpx.Client) -> None:
    """In both encodings."""
    for content_type in ("application/json", "application/proto"):
        response = client.post(LIST, content=b"", headers={"content-type": content_type})
        assert response.status_code == 200


def test_large_requests_are_refused(client: httpx.Client) -> None:
    """Beyond 4 MiB, compressed or not; the client hears why."""
    body = json.dumps({"pagination": {"token": "x" * 5 * 1024 * 1024}}).encode()
    headers = {"content-type": "application/json"}
    response = client.post(LIST, content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (429, "resource_exhausted")
    response = client.post(LIST, content=gzip.compress(body), headers={**headers, "content-encoding": "gzip"})
    assert (response.status_code, response.json()["code"]) == (429, "resource_exhausted")
    response = client.post(f"/{EVENTS}/WatchEvents", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (429, "resource_exhausted")


def test_a_command_of_a_megabyte_is_taken(api: Api) -> None:
    """Below the bound everything is."""
    assert api.task("large", f"true # {'x' * 1_000_000}")


@pytest.mark.parametrize(
    ("method", "body", "told"),
    [
        (f"{TASKS}/DeleteTask", {"id": NOBODY}, None),
        (f"{TASKS}/CreateTask", {"metadata": {"reference": "twice"}}, "false"),
        (f"{TASKS}/GetTask", {"id": NOBODY}, None),
    ],
)
def test_only_what_acts_must_not_be_tried_again(
    api: Api, method: str, body: dict[str, object], told: str | None
) -> None:
    """Clients retry 409, 429 and 5xx: a start that took effect and then failed would start twice."""
    if "metadata" in body:
        body = {"environmentId": api.environment, **body}
        assert api.post(method, body).status_code == 200
    response = api.post(method, body)
    assert response.status_code in {404, 409}
    assert response.headers.get("x-should-retry") == told


def test_a_deadline_that_has_passed_is_an_error(client: httpx.Client) -> None:
    """`Connect-Timeout-Ms`."""
    headers = {"connect-timeout-ms": "0"}
    response = client.post(LIST, json={}, headers=headers)
    assert response.status_code in {200, 504}
    response = client.post(LIST, json={}, headers={"connect-timeout-ms": "soon"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize("text", [b"\x00\x01\x02\r\n\r\n", b"GET /\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_is_refused(served: Daemon, text: bytes) -> None:
    """With an error of the API's form, and the connection is closed."""
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(60)
        raw.connect(str(served.socket))
        raw.sendall(text)
        answer = b""
        while block := raw.recv(4096):
            answer += block
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"code": "invalid_argument"' in answer


def test_without_the_extra_binary_is_refused_with_the_way_out() -> None:
    """JSON needs nothing of it."""
    program = (
        "import sys; sys.modules['google.protobuf'] = None\n"
        "from connectrpc.errors import ConnectError\n"
        "from phased.api.codecs import BinaryCodec\n"
        "from phased.contract.task_calls import ListTasksRequest\n"
        "try: BinaryCodec().decode(b'', ListTasksRequest)\n"
        "except ConnectError as error: print(error.code.value, error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("unimplemented cannot use binary messages")
    assert "phased[proto]" in done.stdout


def test_numbers_that_an_enum_does_not_have_are_refused(client: httpx.Client) -> None:
    """A newer client's: not taken for another value."""
    body = b"\x12\x02\x20\x63"  # filter { phases: 99 } of ListTaskExecutionsRequest
    response = client.post(
        f"/{TASKS}/ListTaskExecutions", content=body, headers={"content-type": "application/proto"}
    )
    assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")


def envelopes(response: httpx.Response) -> Iterator[tuple[int, bytes]]:
    """The envelopes of a stream, as they come."""
    buffer = b""
    for block in response.iter_bytes():
        buffer += block
        while len(buffer) >= 5:
            flags, size = struct.unpack(">BI", buffer[:5])
            if len(buffer) < 5 + size:
                break
            yield flags, buffer[5 : 5 + size]
            buffer = buffer[5 + size :]
