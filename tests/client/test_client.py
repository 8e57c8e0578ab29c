"""The typed client against a real daemon, over its socket and over TCP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from phased.client import Address, Client
from phased.contract.environment_calls import ListEnvironmentsRequest
from phased.contract.error_code import ErrorCode
from phased.contract.event import WatchEventsRequest
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.execution_calls import (
    GetTaskExecutionRequest,
    ListTaskExecutionsRequest,
    StopTaskExecutionRequest,
)
from phased.contract.pagination import PaginationRequest
from phased.contract.phased_v1 import ApplyFileRequest, CreateTokenRequest, GetStatusRequest
from phased.contract.resource import ResourceType
from phased.contract.service_calls import ListServicesRequest, StartServiceRequest, StopServiceRequest
from phased.contract.task import TaskMetadata, TaskSpec
from phased.contract.task_calls import CreateTaskRequest, GetTaskRequest, ListTasksRequest, StartTaskRequest
from phased.errors import Refused, Unreachable
from tests.api.daemon import NOBODY, PATIENCE, Daemon, daemon


def make(client: Client, environment_id: str, reference: str, command: str) -> str:
    """A new task; its id."""
    request = CreateTaskRequest(
        environment_id=environment_id,
        metadata=TaskMetadata(reference=reference),
        spec=TaskSpec(command=command),
    )
    return client.create_task(request).task.id


def test_an_execution_is_followed_to_its_end(client: Client, environment_id: str) -> None:
    """Each copy is newer than the one before; the last has ended."""
    task = make(client, environment_id, "followed", "echo one; sleep 0.2; echo two")
    started = client.start_task(StartTaskRequest(id=task)).task_execution
    seen = list(client.follow_execution(started.id))
    versions = [int(one.status.status_version or 0) for one in seen if one.status]
    assert versions == sorted(set(versions))
    assert seen[-1].status is not None
    assert seen[-1].status.phase is Phase.SUCCEEDED
    assert list(client.follow_execution(started.id)) == [seen[-1]]


def test_many_executions_are_followed_at_once_and_none_is_missed(
    client: Client, address: Address, environment_id: str
) -> None:
    """However the changes fall between asking and watching."""
    task = make(client, environment_id, "quick", "true")
    ended: list[Phase | None] = []

    def follow() -> None:
        with Client(address) as own:
            started = own.start_task(StartTaskRequest(id=task)).task_execution
            *_, last = own.follow_execution(started.id)
            ended.append(last.status.phase if last.status else None)

    threads = [threading.Thread(target=follow) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert ended == [Phase.SUCCEEDED] * 8


def test_pages_are_walked_to_the_last(client: Client, environment_id: str) -> None:
    """Every entry once, whatever the size of a page."""
    made = {make(client, environment_id, f"page-{number}", "true") for number in range(7)}
    request = ListTasksRequest(pagination=PaginationRequest(page_size=3))
    pages = [[task.id for task in page.tasks] for page in client.pages(client.list_tasks, request)]
    found = [one for page in pages for one in page]
    assert made <= set(found)
    assert len(found) == len(set(found))
    assert all(len(page) <= 3 for page in pages)
    assert len(pages) >= 3


def test_a_refusal_has_the_daemons_code_and_words(client: Client) -> None:
    """Typed, not a status."""
    with pytest.raises(Refused, match="cannot find") as caught:
        client.get_task(GetTaskRequest(id=NOBODY))
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_a_stream_that_is_refused_raises_when_it_is_entered(client: Client) -> None:
    """Not later, when somebody waits for an event."""
    with (
        pytest.raises(Refused) as caught,
        client.watch_events(WatchEventsRequest(environment_id=NOBODY)),
    ):
        pass
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_what_changes_after_a_stream_is_entered_is_told(client: Client, environment_id: str) -> None:
    """It is live by then."""
    with client.watch_events(WatchEventsRequest(environment_id=environment_id)) as events:
        task = make(client, environment_id, "told", "true")
        event = next(events)
    assert (event.resource_type, event.resource_id) == (ResourceType.TASK, task)


def test_logs_are_read_and_followed(client: Client, environment_id: str) -> None:
    """Following ends with the execution."""
    task = make(client, environment_id, "writes", "echo begin; sleep 0.3; echo end")
    started = client.start_task(StartTaskRequest(id=task)).task_execution
    with client.logs(started.id) as blocks:
        assert b"".join(blocks) == b"begin\nend\n"
    with client.logs(started.id, follow=False, tail=1) as blocks:
        assert b"".join(blocks) == b"end\n"
    with pytest.raises(Refused) as caught, client.logs(started.id, step="nosuch"):
        pass
    assert caught.value.code is ErrorCode.NOT_FOUND


def test_the_native_stream_is_resumed_without_a_gap(client: Client, environment_id: str) -> None:
    """What happened while nobody read comes first."""
    with client.events(environment_id) as events:
        snapshot = next(events)
    assert snapshot.kind == "snapshot"
    task = make(client, environment_id, "resumed", "true")
    with client.events(environment_id, since=snapshot.id) as events:
        event = next(events)
    assert event.kind == "change"
    assert event.data["resourceId"] == task


def test_a_service_starts_writes_and_stops(client: Client, environment_id: str) -> None:
    """Through the typed methods, and its log."""
    content = '{"services": {"web": {"commands": {"start": "echo up; exec sleep 1000"}}}}'
    client.apply_file(ApplyFileRequest(environment_id=environment_id, content=content))
    (web,) = client.list_services(ListServicesRequest()).services
    with client.watch_events(WatchEventsRequest(environment_id=environment_id)):
        client.start_service(StartServiceRequest(id=web.id))
    with client.service_logs(web.id) as blocks:
        assert next(blocks) == b"up\n"
        client.stop_service(StopServiceRequest(id=web.id))
        assert b"".join(blocks) == b""


def test_over_tcp_a_token_is_needed(client: Client, served: Daemon, environment_id: str) -> None:
    """Without one: unauthenticated; with a viewer's: read, not start."""
    with Client(Address.of_url(served.address)) as nobody, pytest.raises(Refused) as caught:
        nobody.get_status(GetStatusRequest())
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    task = make(client, environment_id, "guarded", "true")
    made = client.create_token(
        CreateTokenRequest(roles=("ENVIRONMENT_VIEWER",), environment_id=environment_id)
    )
    with Client(Address.of_url(served.address, made.value)) as viewer:
        assert viewer.get_task(GetTaskRequest(id=task)).task.id == task
        with pytest.raises(Refused) as caught:
            viewer.start_task(StartTaskRequest(id=task))
    assert caught.value.code is ErrorCode.PERMISSION_DENIED


def test_no_daemon_is_told_with_the_way_out(tmp_path: Path) -> None:
    """Whether there is no socket, nobody listens, or something is there that is no socket."""
    gone = tmp_path / "gone.sock"
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(gone))
    plain = tmp_path / "plain"
    plain.touch()
    for path in (tmp_path / "none.sock", gone, plain, tmp_path / ("x" * 200)):
        with Client(Address.of_socket(path)) as client, pytest.raises(Unreachable) as caught:
            client.list_environments(ListEnvironmentsRequest())
        assert str(caught.value).startswith(f"cannot reach a daemon at {path}: ")
        assert "start one with `phased serve`" in str(caught.value)


def _answering(answer: bytes) -> Iterator[str]:
    """Something on TCP that answers one request so, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(PATIENCE)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "the connection ended"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the connection ended"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html", "cannot read the daemon's answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{", "the connection ended"),
    ],
)
def test_what_is_no_daemon_is_told(answer: bytes, said: str) -> None:
    """Something else listens there."""
    for url in _answering(answer):
        with Client(Address.of_url(url)) as client, pytest.raises(Unreachable, match=said):
            client.list_environments(ListEnvironmentsRequest())


def test_an_answer_that_does_not_come_is_told() -> None:
    """It may have been done: the message says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = Address.of_url(f"http://127.0.0.1:{server.getsockname()[1]}")
        with (
            Client(address, timeout=0.2) as client,
            pytest.raises(Unreachable, match="did not answer in time"),
        ):
            client.list_environments(ListEnvironmentsRequest())


def test_following_survives_a_daemon_that_is_replaced() -> None:
    """The end is told by the next daemon."""
    with daemon() as made:
        first = made.start(env={"PHASED_DAEMON_ON_STOP": "keep"})
        gate = made.home / "gate"
        with Client(Address.of_socket(made.socket)) as client:
            (only,) = client.list_environments(ListEnvironmentsRequest()).environments
            command = f"until test -e {gate}; do sleep 0.05; done; exit 7"
            task = make(client, only.id or "", "long", command)
            started = client.start_task(StartTaskRequest(id=task)).task_execution
            following = client.follow_execution(started.id, patience=2 * PATIENCE)
            seen = [next(following)]
            while not (seen[-1].status and seen[-1].status.phase is Phase.RUNNING):
                seen.append(next(following))
            first.kill()
            first.wait(PATIENCE)
            made.start()
            gate.touch()
            seen += following
        last = seen[-1].status
    assert last is not None
    assert last.phase is Phase.FAILED


def test_following_gives_up_on_a_daemon_that_stays_away() -> None:
    """After its patience, with the reason."""
    with daemon() as made:
        process = made.start()
        with Client(Address.of_socket(made.socket)) as client:
            (only,) = client.list_environments(ListEnvironmentsRequest()).environments
            task = make(client, only.id or "", "long", "sleep 1000")
            started = client.start_task(StartTaskRequest(id=task)).task_execution
            following = client.follow_execution(started.id, patience=0.5)
            next(following)
            process.kill()
            process.wait(PATIENCE)
            with pytest.raises(Unreachable):
                list(following)


def test_stopping_ends_a_followed_execution(client: Client, environment_id: str) -> None:
    """As STOPPED; the list has it."""
    task = make(client, environment_id, "sleeps", "sleep 1000")
    started = client.start_task(StartTaskRequest(id=task)).task_execution
    following = client.follow_execution(started.id)
    first = next(following)
    client.stop_task_execution(StopTaskExecutionRequest(id=started.id))
    *_, last = [first, *following]
    assert last.status is not None
    assert last.status.phase is Phase.STOPPED
    (listed, *_) = client.list_task_executions(ListTaskExecutionsRequest()).task_executions
    assert listed == client.get_task_execution(GetTaskExecutionRequest(id=started.id)).task_execution
