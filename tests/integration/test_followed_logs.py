"""Logs that are followed on the command line while their daemon gives way to another one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from phased.client import Address, Client
from phased.errors import Unreachable
from tests.api.daemon import SECRETS, TASKS, Api, Daemon, daemon, wait_for
from tests.cli.daemon import Terminal

UNTIL_GO = "until test -e go; do sleep 0.05; done"
GEN = f"echo one; printf hal; {UNTIL_GO}; echo f; echo last"
BUILD = "echo built; exit 5"


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that works."""
    with daemon() as made:
        made.start()
        yield made


@pytest.fixture
def terminal(one: Daemon) -> Iterator[Terminal]:
    """Command lines beside it."""
    made = Terminal(one)
    yield made
    made.close()


def reloaded(terminal: Terminal) -> None:
    """Its next version works in the same process."""
    terminal.ok("reload")


def killed_and_followed(terminal: Terminal) -> None:
    """Another one works on the same state."""
    process = terminal.served.process
    process.kill()
    process.wait()
    terminal.served.start()


def shows(follower: Popen[str], text: str) -> str:
    """Read until it has shown this; all that it has shown."""
    assert follower.stdout is not None
    os.set_blocking(follower.stdout.fileno(), False)
    shown = b""

    def has_shown() -> bool:
        nonlocal shown
        assert follower.stdout is not None
        try:
            shown += os.read(follower.stdout.fileno(), 65536)
        except BlockingIOError:
            assert follower.poll() is None, shown
        return text.encode() in shown

    wait_for(has_shown, text)
    os.set_blocking(follower.stdout.fileno(), True)
    return shown.decode()


def two_steps(one: Daemon) -> tuple[Api, str]:
    """An execution whose first step has written half a line, and waits."""
    api = Api(one.client())
    gen = api.task("gen", GEN)
    execution = api.start(api.task("build", BUILD, dependsOn=[gen]))
    folder = one.state / "runs" / execution
    wait_for(lambda: any(log.read_bytes() == b"one\nhal" for log in folder.glob("*.log")), "half a line")
    return api, execution


@pytest.mark.parametrize("change", [reloaded, killed_and_followed])
def test_followers_go_on_where_they_were(
    one: Daemon, terminal: Terminal, change: Callable[[Terminal], None]
) -> None:
    """Of one step, of all of them, from a tail, of a service: nothing is lost, nothing comes twice."""
    _, execution = two_steps(one)
    body = {
        "environmentId": Api(one.client()).environment,
        "metadata": {"reference": "web"},
        "spec": {"commands": {"start": f"echo up; {UNTIL_GO}; echo going; exit 3"}},
    }
    api = Api(one.client())
    service = api.call(f"{TASKS}/CreateService", body)["service"]["id"]
    api.call(f"{TASKS}/StartService", {"id": service})
    wait_for(lambda: "up" in terminal.run("service", "logs", "web").stdout, "the service writes")
    before = {
        ("logs", "build", "--follow"): "gen | one\n",
        ("task", "logs", "build", "--follow"): "gen | one\n",
        ("logs", execution, "--step", "gen", "--follow"): "one\nhal",
        ("logs", execution, "--step", "gen", "--follow", "--tail", "1"): "hal",
        ("service", "logs", "web", "--follow"): "up\n",
    }
    after = {
        "logs": "gen | half\ngen | last\nbuild | built\n",
        "task": "gen | half\ngen | last\nbuild | built\n",
        "service": "going\n",
    }
    followers = {arguments: terminal.start(*arguments) for arguments in before}
    for arguments, follower in followers.items():
        assert shows(follower, before[arguments]) == before[arguments]
    change(terminal)
    (one.workspace / "go").touch()
    for arguments, follower in followers.items():
        rest = "f\nlast\n" if "--step" in arguments else after[arguments[0]]
        assert follower.communicate(timeout=120) == (rest, ""), arguments
        assert follower.returncode == 0, arguments


def test_a_secret_is_hidden_across_the_change(one: Daemon, terminal: Terminal) -> None:
    """Its first half was written to one daemon's follower, the other half to the next one's."""
    api = Api(one.client())
    value = "hunter2-and-more"
    scope = {"projectId": api.environment}
    api.call(
        f"{SECRETS}/CreateSecret",
        {"name": "SEAM", "value": value, "environmentVariable": True, "scope": scope},
    )
    execution = api.start(
        api.task("tells", f'printf "before ${{SEAM%-and-more}}"; {UNTIL_GO}; echo "-and-more after"')
    )
    folder = one.state / "runs" / execution
    wait_for(
        lambda: any(log.read_bytes() == b"before hunter2" for log in folder.glob("*.log")), "the first half"
    )
    follower = terminal.start("logs", "tells", "--follow")
    assert shows(follower, "before ") == "before "
    with one.client() as other, other.stream("GET", f"/logs/executions/{execution}") as response:
        blocks = response.iter_raw()
        assert next(blocks) == b"before "
        reloaded(terminal)
        assert list(blocks) == [], "it ends, and the half is not shown either"
    (one.workspace / "go").touch()
    assert follower.communicate(timeout=120) == (f"{'*' * len(value)} after\n", "")
    assert follower.returncode == 0


def test_a_daemon_that_does_not_come_back_is_an_error(one: Daemon) -> None:
    """After some patience, in words that say what to do."""
    _, execution = two_steps(one)
    with Client(Address.of_socket(one.socket)) as client:
        pieces = client.follow_logs(execution, step="gen", patience=1)
        assert next(pieces).text == b"one\nhal"
        one.process.kill()
        one.process.wait()
        with pytest.raises(Unreachable, match="start one with `phased serve`"):
            next(pieces)


def _put(place: Path, how: str) -> None:
    """Something else than a log in its place, or nothing."""
    match how:
        case "deleted":
            place.unlink()
        case "moved":
            place.rename(place.with_suffix(".1"))
        case "folder":
            place.unlink()
            place.parent.rmdir()
        case "fifo":
            place.unlink()
            os.mkfifo(place)
        case "symlink":
            place.unlink()
            place.symlink_to("/etc/passwd")
        case _:
            place.unlink()
            place.mkdir()


@pytest.mark.parametrize("how", ["deleted", "moved", "folder", "fifo", "symlink", "directory"])
def test_a_log_that_is_not_there_any_more_is_told(one: Daemon, terminal: Terminal, how: str) -> None:
    """To who asks, as an error; to who follows, and to who looks at several, beside what there is."""
    api = Api(one.client())
    execution = api.start(api.task("held", f"echo first; {UNTIL_GO}"))
    log = wait_for(lambda: next((one.state / "runs" / execution).glob("*.log"), None), "a log")
    wait_for(lambda: log.read_text() == "first\n", "its first line")
    follower = terminal.start("logs", "held", "--follow")
    shows(follower, "first\n")
    _put(log, how)
    lost = how in {"deleted", "moved", "folder"}
    said = "its log is gone" if lost else "it is no regular file; remove what is in its place"
    assert follower.stderr is not None
    noted = follower.stderr.readline()
    assert ("was deleted" if lost else said) in noted
    assert str(log) in noted
    for arguments in (("logs", "held"), ("logs", "held", "--follow"), ("logs", execution, "--tail", "2")):
        answer = terminal.run(*arguments)
        assert (answer.returncode, answer.stdout) == (4, ""), arguments
        assert said in answer.stderr
    url = api.execution(execution)["status"]["logUrl"]
    refused = api.client.get(url)
    told = ("not_found", 404) if lost else ("failed_precondition", 409)
    assert (refused.json()["code"], refused.status_code) == told
    assert api.client.get(url, headers={"range": "bytes=0-1"}).status_code == told[1]
    assert follower.poll() is None
    (one.workspace / "go").touch()
    assert follower.communicate(timeout=120) == ("", "")
    assert follower.returncode == 0
    terminal.served.process.terminate()
    terminal.served.process.wait()
    alone = terminal.run("logs", "held")
    assert (alone.returncode, alone.stdout) == (4 if lost else 2, "")
    assert said in alone.stderr
