"""An engine is asked itself only where that is plain, and only a whole answer is one."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from anyio.abc import SocketStream

from phased.errors import RunnerError
from phased.runners.docker.asking import Client
from phased.runners.docker.commands import Engine
from phased.runners.docker.directly import ask, local_socket

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("program", "environment", "socket"),
    [
        ("docker", {}, "/var/run/docker.sock"),
        ("/usr/bin/docker", {"DOCKER_HOST": "unix:///run/a.sock", "DOCKER_CONTEXT": "b"}, "/run/a.sock"),
        ("docker", {"DOCKER_HOST": "tcp://there:2375"}, ""),
        ("docker", {"DOCKER_HOST": "ssh://there"}, ""),
        ("docker", {"DOCKER_CONTEXT": "b"}, ""),
        ("podman", {"DOCKER_HOST": "unix:///run/a.sock"}, ""),
    ],
)
def test_the_socket_is_the_one_that_the_client_would_use(
    program: str, environment: dict[str, str], socket: str, tmp_path: Path
) -> None:
    """Or none, where the client has to find its engine."""
    assert local_socket(program, {"HOME": str(tmp_path), **environment}) == socket


@pytest.mark.parametrize(
    ("text", "socket"),
    [('{"currentContext": "b"}', ""), ('{"auths": {}}', "/var/run/docker.sock"), ("[]", ""), ("{", "")],
)
def test_a_context_of_the_client_is_left_to_it(text: str, socket: str, tmp_path: Path) -> None:
    """So is a file that cannot be understood."""
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(text)
    assert local_socket("docker", {"HOME": str(tmp_path)}) == socket


FOUND = json.dumps({"message": "No such container: x"}).encode()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.0 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(FOUND), FOUND), (404, FOUND)),
        (b"HTTP/1.0 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{", None),
        (b"SSH-2.0-there\r\n", None),
        (b"", None),
    ],
)
async def test_only_a_whole_answer_is_one(answer: bytes, expected: tuple[int, bytes] | None) -> None:
    """One that was cut off is none, nor is that of a server of another kind."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    with TemporaryDirectory(dir="/tmp") as folder:
        async with (
            await anyio.create_unix_listener(f"{folder}/s") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, serve)
            with anyio.fail_after(60):
                assert await ask(f"{folder}/s", "GET", "/containers/x/json") == expected
            tasks.cancel_scope.cancel()
        assert await ask(f"{folder}/none", "GET", "/containers/x/json") is None


async def test_a_server_that_knows_no_containers_says_nothing_of_them() -> None:
    """The client is asked then: it is no proof that a container is gone."""

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.0 404 Not Found\r\n\r\npage not found")

    with TemporaryDirectory(dir="/tmp") as folder:
        (Path(folder) / "docker").write_text("#!/bin/sh\necho refused >&2; exit 1\n")
        (Path(folder) / "docker").chmod(0o755)
        client = Client(Engine(f"{folder}/docker", variables={"DOCKER_HOST": f"unix://{folder}/s"}), {})
        async with (
            await anyio.create_unix_listener(f"{folder}/s") as listener,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listener.serve, serve)
            with pytest.raises(RunnerError, match="the container engine refused: refused"):
                await client.inspect("x")
            tasks.cancel_scope.cancel()
