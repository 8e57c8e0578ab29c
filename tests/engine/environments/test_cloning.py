"""Workspaces filled by the real git: what is checked out, what never runs, and that it can be given up."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import anyio
import pytest

from phased.contract.base import from_json
from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.engine.environments.cloning import fill
from phased.engine.environments.sources import Source
from phased.engine.environments.view import environment_message
from phased.errors import CloneFailed
from tests.engine.domain import ORIGIN, bench
from tests.engine.services.bench import PATIENCE, until

pytestmark = pytest.mark.anyio
WHO = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def git(repository: Path, *arguments: str) -> str:
    """Call git as a developer would, with no settings of this machine."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(repository), "GIT_CONFIG_NOSYSTEM": "1", **WHO}
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One with two commits on `main`, a branch `side` and a tag `v1`."""
    path = tmp_path / "repo"
    path.mkdir()
    git(path, "init", "--quiet", "--initial-branch=main")
    for text in ("one", "two"):
        (path / "file").write_text(text)
        git(path, "add", "file")
        git(path, "commit", "--quiet", "-m", text)
    git(path, "tag", "v1", "HEAD~1")
    git(path, "branch", "side", "HEAD~1")
    return path


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty one."""
    path = tmp_path / "workspace"
    path.mkdir()
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What git finds around itself."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@pytest.mark.parametrize("how", ["path", "file"])
async def test_the_branch_that_the_repository_is_on(
    repository: Path, workspace: Path, environment: dict[str, str], how: str
) -> None:
    """From a path, and over the file transport."""
    address = str(repository) if how == "path" else f"file://{repository}"
    await fill(workspace, [Source(address)], environment)
    assert (workspace / "file").read_text() == "two"
    assert git(workspace, "rev-parse", "--abbrev-ref", "HEAD") == "main"


async def test_a_branch_a_tag_a_commit_a_new_branch(
    repository: Path, workspace: Path, environment: dict[str, str]
) -> None:
    """Each into a folder of its own."""
    address, first = str(repository), git(repository, "rev-parse", "v1")
    sources = [
        Source(address, branch="side", location="branch"),
        Source(address, branch="v1", location="tag"),
        Source(address, commit=first, location="deep/commit"),
        Source(address, new_branch="mine", location="new", upstream="/srv/upstream"),
    ]
    await fill(workspace, sources, environment)
    for location in ("branch", "tag", "deep/commit"):
        assert git(workspace / location, "rev-parse", "HEAD") == first
    assert git(workspace / "branch", "rev-parse", "--abbrev-ref", "HEAD") == "side"
    assert git(workspace / "new", "rev-parse", "--abbrev-ref", "HEAD") == "mine"
    assert git(workspace / "new", "remote", "get-url", "upstream") == "/srv/upstream"


async def test_no_hook_and_no_program_of_settings_runs(
    repository: Path, workspace: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Neither a template's hooks, nor those that variables name."""
    evidence = tmp_path / "evidence"
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    hook = template / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {evidence}\n")
    hook.chmod(0o755)
    hostile = {
        "GIT_TEMPLATE_DIR": str(template.parent), "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath", "GIT_CONFIG_VALUE_0": str(template),
        "GIT_DIR": str(tmp_path / "elsewhere"), "GIT_WORK_TREE": str(tmp_path),
    }  # fmt: skip
    await fill(workspace, [Source(str(repository))], environment | hostile)
    assert (workspace / "file").read_text() == "two"
    assert not evidence.exists()


async def test_a_submodule_is_not_followed(
    repository: Path, workspace: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its address is the repository's word, not the user's."""
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "--quiet", "--initial-branch=main")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "inner")
    git(outer, "commit", "--quiet", "-m", "x")
    await fill(workspace, [Source(str(outer))], environment)
    assert os.listdir(workspace / "inner") == []


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("/nowhere/at/all", "does not exist"),
        ("ext::sh -c 'touch evidence'", "not allowed"),
        ("http://127.0.0.1:1/x", "connect"),
    ],
)
async def test_what_cannot_be_cloned_is_told(
    workspace: Path, environment: dict[str, str], address: str, reason: str
) -> None:
    """In git's own words, and a transport that runs commands is refused by git as well."""
    with anyio.fail_after(PATIENCE), pytest.raises(CloneFailed, match=f"^cannot clone .*{reason}"):
        await fill(workspace, [Source(address)], environment)
    assert os.listdir(workspace) == []


async def test_a_machine_without_git_is_told(workspace: Path, tmp_path: Path) -> None:
    """Not as a file that is missing."""
    with pytest.raises(CloneFailed, match="there is no git on this machine"):
        await fill(workspace, [Source("/x")], {"PATH": str(tmp_path)})


async def test_nobody_is_asked_for_a_password(workspace: Path, environment: dict[str, str]) -> None:
    """A server that wants one is a failure at once."""
    with server(
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
    ) as address:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, address.answer)
            with (
                anyio.fail_after(PATIENCE),
                pytest.raises(CloneFailed, match=r"could not read|Authentication"),
            ):
                await fill(workspace, [Source(f"http://127.0.0.1:{address.port}/x")], environment)
            address.close()


class Server:
    """Answers each request with the same bytes, or, without them, never."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]

    def answer(self) -> None:
        """Serve until it is closed."""
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with closing(connection):
                connection.recv(65536)
                connection.sendall(self._answer)

    def close(self) -> None:
        """End `answer`, too."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        finally:
            self._socket.close()


@contextmanager
def server(answer: bytes) -> Iterator[Server]:
    """A server on a port of its own."""
    made = Server(answer)
    try:
        yield made
    finally:
        made.close()


def git_processes(folder: Path) -> list[int]:
    """Git's processes that work below a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(b"git" in word for word in words[:1]) and any(
                str(folder).encode() in word for word in words
            ):
                found.append(int(entry.name))
    return found


async def test_a_clone_that_hangs_is_given_up_with_all_its_processes(
    workspace: Path, environment: dict[str, str]
) -> None:
    """The server accepts, and never answers."""
    with server(b"") as address, anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fill, workspace, [Source(f"git://127.0.0.1:{address.port}/x")], environment)
            await until(lambda: bool(git_processes(workspace)), "git runs")
            tasks.cancel_scope.cancel()
        await until(lambda: not git_processes(workspace), "git has ended")


async def test_a_killed_git_is_a_failure(workspace: Path, environment: dict[str, str]) -> None:
    """Not a hang, and not a success."""
    with server(b"") as address, anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:

            async def clone() -> None:
                with pytest.raises(CloneFailed, match="git ended with -9"):
                    await fill(workspace, [Source(f"git://127.0.0.1:{address.port}/x")], environment)

            tasks.start_soon(clone)
            await until(lambda: bool(git_processes(workspace)), "git runs")
            for pid in git_processes(workspace):
                os.kill(pid, signal.SIGKILL)


# ---- as environments -------------------------------------------------------------------------------


def request(address: str) -> CreateEnvironmentRequest:
    """An environment with this repository."""
    initializer = {"specs": [{"git": {"remoteUri": address}}]}
    return from_json(CreateEnvironmentRequest, {"spec": {"content": {"initializer": initializer}}})


async def test_an_environment_is_filled_and_named_after_its_repository(
    repository: Path, tmp_path: Path
) -> None:
    """And says where its content came from."""
    async with bench(tmp_path) as b:
        made = await b.create(request(str(repository)))
        assert made.phase is Phase.RUNNING
        assert (made.name, made.context_url, made.has_content) == ("repo", str(repository), True)
        assert sorted(os.listdir(made.workspace)) == [".git", "file"]


async def test_an_environment_that_cannot_be_filled_says_why_and_can_be_tried_again(
    repository: Path, tmp_path: Path
) -> None:
    """It is stopped, with the reason in its status; a later start fills it."""
    later = tmp_path / "later"
    async with bench(tmp_path) as b:
        made = await b.create(request(str(later)))
        assert (made.phase, made.has_content) == (Phase.STOPPED, False)
        (reason,) = made.failures
        assert "does not exist" in reason
        shown = environment_message(made).status
        assert shown is not None
        assert shown.failure_message == (reason,)
        os.rename(repository, later)
        await b.domain.environments.start(made.id)
        record = await b.reach(made.id, Phase.RUNNING)
        assert record.failures == ()
        assert sorted(os.listdir(record.workspace)) == [".git", "file"]


@pytest.mark.parametrize("end", ["stop", "delete"])
async def test_a_clone_is_given_up_when_something_else_is_asked_for(tmp_path: Path, end: str) -> None:
    """At once, and nothing of it stays."""
    async with bench(tmp_path) as b:
        with server(b"") as address, anyio.fail_after(PATIENCE):
            made = await b.domain.environments.create(request(f"git://127.0.0.1:{address.port}/x"), ORIGIN)
            await until(lambda: bool(git_processes(Path(made.workspace))), "git runs")
            if end == "stop":
                await b.domain.environments.stop(made.id)
                await b.reach(made.id, Phase.STOPPED)
            else:
                await b.domain.environments.delete(made.id)
                await b.gone(made.id)
                assert made.id not in os.listdir(tmp_path / "s" / "workspaces")
            assert git_processes(Path(made.workspace)) == []
