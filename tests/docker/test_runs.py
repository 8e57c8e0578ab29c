"""A run as a container: what it finds, how it ends, what is left of it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from phased.ports import ContainerRequest, RunExited, RunLost, Runner, RunNotStarted
from tests.docker.build import ENGINE, IMAGE, Boxes, docker, options, way_to_engine
from tests.docker.registry import serve_registry
from tests.runners.build import bytes_of, log_of, run, until, until_async, until_ended, until_started

pytestmark = pytest.mark.anyio


async def test_output_and_status_are_the_containers(boxes: Boxes) -> None:
    """Its name is the run's id; it is removed once its end is saved."""
    request = boxes.request("echo out; echo err >&2; exit 3")
    async with boxes.runner() as runner:
        [report] = await run(runner, request)
        assert isinstance(report, RunExited)
        assert (report.code, report.signal) == (3, None)
        assert sorted(log_of(request).split()) == ["err", "out"]
        assert boxes.names() == [request.run_id]
        await runner.forget([request.run_id])
        await until(lambda: not boxes.names())
        await until(lambda: not list((boxes.place.state / "containers").iterdir()))


async def test_runs_of_the_machine_are_its_processes_as_before(boxes: Boxes) -> None:
    """Side by side, in one call."""
    here, there = boxes.place.request("exit 4"), boxes.request("exit 5")
    async with boxes.runner() as runner:
        ended = await run(runner, here, there)
    assert [report.code for report in ended if isinstance(report, RunExited)] == [4, 5]


async def test_the_workspace_is_at_its_place_and_files_are_the_invokers(boxes: Boxes) -> None:
    """The same path, the same uid and gid."""
    request = boxes.request("pwd; id -u; id -g; echo made > file")
    async with boxes.runner() as runner:
        await run(runner, request)
    workspace = boxes.place.workspace
    assert log_of(request).split() == [str(workspace), str(os.getuid()), str(os.getgid())]
    made = workspace / "file"
    assert (made.read_text(), made.stat().st_uid) == ("made\n", os.getuid())


async def test_variables_travel_by_name_also_those_that_would_disturb_the_client(boxes: Boxes) -> None:
    """No value is in an argument of the client."""
    request = boxes.request(
        'echo "$SECRET|$PATH|$HOME|$DOCKER_HOST|$PHASED_RUN_ID|$GIVEN|$PASSED|${ABSENT-none}"; sleep 1000',
        given=["GIVEN=yes", "PASSED", "ABSENT", "SECRET=weaker"],
        SECRET="a b\n'c'", PATH="/bin:/usr/bin", HOME="/tmp", DOCKER_HOST="nowhere",
    )  # fmt: skip
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: log_of(request).count("|") == 7)
        found = boxes.inspect(request.run_id)["Args"]
        arguments = _arguments_of_clients(request.run_id)
        await runner.signal(request.run_id, signal.SIGKILL)
        await until_ended(runner, [request.run_id])
    assert log_of(request) == f"a b\n'c'|/bin:/usr/bin|/tmp|nowhere|{request.run_id}|yes||none\n"
    assert b"SECRET" in arguments
    assert b"'c'" not in arguments
    assert not any("nowhere" in word for word in found)


def _arguments_of_clients(run_id: str) -> bytes:
    """The command lines of all processes that name a run."""
    found = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            text = path.read_bytes()
            found += text if run_id.encode() in text else b""
    return found


async def test_a_script_may_be_larger_than_an_argument(boxes: Boxes) -> None:
    """And is read from a mounted file."""
    request = boxes.request("#" * 200_000 + "\necho end; exit 6")
    async with boxes.runner() as runner:
        [report] = await run(runner, request)
    assert isinstance(report, RunExited)
    assert report.code == 6
    assert log_of(request) == "end\n"


async def test_outputs_and_logs_lie_in_a_folder_that_it_has(boxes: Boxes) -> None:
    """The file that PHASED_OUTPUT names is the one on this machine."""
    path = boxes.place.logs / "out"
    request = boxes.request('echo K=V > "$PHASED_OUTPUT"', PHASED_OUTPUT=str(path))
    async with boxes.runner() as runner:
        await run(runner, request)
    assert path.read_text() == "K=V\n"


async def test_a_stop_reaches_every_process(boxes: Boxes) -> None:
    """Also those that the shell would not tell; and what it does then counts."""
    script = """
    sh -c 'trap "echo child; exit" TERM; echo ready; while :; do sleep 1 & wait $!; done' &
    trap 'wait; echo leader; exit 7' TERM; wait"""
    request = boxes.request(script)
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: "ready" in log_of(request))
        found = await runner.processes(request.run_id)
        assert [one.command for one in found if one.leader] == ["sh"]
        count = await runner.signal(request.run_id, signal.SIGTERM)
        assert abs(count - len(found)) <= 1  # one sleep may end before the next begins
        [report] = (await until_ended(runner, [request.run_id])).values()
        assert isinstance(report, RunExited)
        assert report.code == 7
        await until_async(lambda: _nothing_left(runner, request.run_id))
    said = [
        word for word in log_of(request).split() if word != "Terminated"
    ]  # a shell may say it of its sleep
    assert said == ["ready", "child", "leader"]


async def _nothing_left(runner: object, run_id: str) -> bool:
    return not await runner.processes(run_id)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("number", "script"), [(15, "sleep 1000"), (9, "trap '' TERM; echo on; sleep 1000")])
async def test_the_signal_that_was_sent_is_told(boxes: Boxes, number: int, script: str) -> None:
    """Not 128 and the signal, as its first process says it."""
    request = boxes.request(f"echo up; {script}")
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: log_of(request).startswith("up"))
        await runner.signal(request.run_id, number)
        [report] = (await until_ended(runner, [request.run_id])).values()
    assert isinstance(report, RunExited)
    assert (report.code, report.signal) == (None, number)


async def test_a_killed_client_is_not_the_end(boxes: Boxes) -> None:
    """The log goes on where it broke off, and the status is the container's."""
    request = boxes.request("echo one; until [ -e go ]; do sleep 0.1; done; echo two; exit 8")
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: log_of(request) == "one\n")
        [client] = [one for one in await runner.processes(request.run_id) if one.command == ENGINE]
        os.kill(client.pid, signal.SIGKILL)
        (boxes.place.workspace / "go").touch()
        [report] = (await until_ended(runner, [request.run_id])).values()
    assert isinstance(report, RunExited)
    assert report.code == 8
    assert log_of(request) == "one\ntwo\n"


async def test_the_next_engine_goes_on_with_a_container(boxes: Boxes) -> None:
    """One that runs, one that ended meanwhile."""
    ends = boxes.request("echo a; until [ -e end ]; do sleep 0.1; done; echo b; exit 9")
    stays = boxes.request("echo c; until [ -e go ]; do sleep 0.1; done; echo d; exit 10")
    async with boxes.runner() as runner:
        await runner.start([ends, stays])
        await until(lambda: log_of(ends) == "a\n" and log_of(stays) == "c\n")
    (boxes.place.workspace / "end").touch()
    await until(lambda: not boxes.runs(ends.run_id))
    async with boxes.runner() as runner:
        fates = await runner.known([ends.run_id, stays.run_id, "no.1"])
        assert fates == {ends.run_id: "running", stays.run_id: "running", "no.1": "absent"}
        (boxes.place.workspace / "go").touch()
        reports = await until_ended(runner, [ends.run_id, stays.run_id])
    assert [r.code for r in (reports[ends.run_id], reports[stays.run_id]) if isinstance(r, RunExited)] == [
        9,
        10,
    ]
    assert (log_of(ends), log_of(stays)) == ("a\nb\n", "c\nd\n")


async def test_a_container_that_was_made_and_not_started_is_started(boxes: Boxes) -> None:
    """As one whose client died between the two."""
    request = boxes.request("until [ -e go ]; do sleep 0.1; done; echo ran")
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: boxes.runs(request.run_id))
        [client] = [one for one in await runner.processes(request.run_id) if one.command == ENGINE]
        labels = ["--label", f"phased.run={request.run_id}", "--label", f"phased.state={boxes.place.state}"]
        os.kill(client.pid, signal.SIGSTOP)
        docker("rm", "--force", request.run_id)
        docker(
            "create",
            "--name",
            request.run_id,
            *labels,
            "--network",
            "none",
            IMAGE,
            "sh",
            "-c",
            "echo made; exit 11",
        )
        os.kill(client.pid, signal.SIGKILL)
        [report] = (await until_ended(runner, [request.run_id])).values()
    assert isinstance(report, RunExited)
    assert (report.code, log_of(request)) == (11, "made\n")


async def test_a_stop_before_the_container_is_there(boxes: Boxes) -> None:
    """Nothing starts after it."""
    request = boxes.request("echo never; sleep 1000")
    async with boxes.runner() as runner:
        await runner.start([request])
        await until_started(runner, [request.run_id])
        await runner.signal(request.run_id, signal.SIGTERM)
        [report] = (await until_ended(runner, [request.run_id])).values()
        assert isinstance(report, RunExited)
        assert report.signal == signal.SIGTERM
        await until(lambda: not boxes.runs(request.run_id))


async def test_another_command_in_the_same_container(boxes: Boxes) -> None:
    """As a service's `ready` is: it sees the service's files and processes."""
    request = boxes.request("echo here > /tmp/new; mv /tmp/new /tmp/mark; sleep 1000")
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: boxes.runs(request.run_id))
        tries = 0
        while True:
            tries += 1
            second = boxes.request('cat /tmp/mark; test "$OWN" = o', inside=request.run_id, OWN="o")
            [report] = await _end_of(runner, second)
            assert isinstance(report, RunExited)
            if report.code == 0 or tries > 50:
                break
        assert log_of(second) == "here\n"
        third = boxes.request("echo on; sleep 2000", inside=request.run_id)
        await runner.start([third])
        await until(lambda: log_of(third) == "on\n")
        await runner.signal(third.run_id, signal.SIGTERM)
        await until_ended(runner, [third.run_id])
        await until(lambda: "sleep 2000" not in docker("exec", request.run_id, "ps"))
        await runner.signal(request.run_id, signal.SIGKILL)
        await until_ended(runner, [request.run_id])


async def _end_of(runner: object, request: object) -> list[object]:
    return list(await run(runner, request))  # type: ignore[arg-type]


async def test_output_of_bytes_is_not_changed(boxes: Boxes) -> None:
    """The client carries it as it is."""
    request = boxes.request(r"printf '\377\000\r\n'")
    async with boxes.runner() as runner:
        await run(runner, request)
    assert bytes_of(request) == b"\xff\0\r\n"


@pytest.mark.skipif(ENGINE != "docker", reason="this engine trusts no registry without TLS")
async def test_an_image_is_pulled_once_and_the_log_shows_it(boxes: Boxes) -> None:
    """Unless it is always to be asked for; never means never."""
    with serve_registry() as registry:
        first, second = (boxes.request("echo ran", image=registry.image) for _ in range(2))
        async with boxes.runner(pull_policy="never") as runner:
            [report] = await run(runner, boxes.request("true", image=registry.image))
            assert isinstance(report, RunLost)
        assert registry.asked == 0
        async with boxes.runner() as runner:
            await run(runner, first)
            asked = registry.asked
            await run(runner, second)
        assert "Pulling from box" in log_of(first)
        assert log_of(first).endswith("ran\n")
        assert log_of(second) == "ran\n"
        assert registry.asked == asked
        assert registry.pulls <= 1  # an engine remembers which layers it has
        always = boxes.request("echo ran", image=registry.image)
        made = replace(always, container=ContainerRequest(registry.image, (), {"pullPolicy": "Always"}))
        async with boxes.runner() as runner:
            await run(runner, made)
            await runner.forget([first.run_id, second.run_id, made.run_id])
        assert registry.asked > asked
        boxes.remove_all()


# ---- what cannot be ---------------------------------------------------------------------------------


async def test_no_image(boxes: Boxes) -> None:
    """Named, with the engine's reason; nothing is left."""
    request = boxes.request("true", image="rig/nosuch")
    async with boxes.runner(pull_policy="never") as runner:
        [report] = await run(runner, request)
    assert isinstance(report, RunLost)
    assert report.reason.startswith("the image rig/nosuch cannot be had: ")
    assert boxes.names() == []


async def test_no_engine(boxes: Boxes) -> None:
    """Said at once, not after the patience for one that restarts."""
    async with boxes.runner(host="unix:///nowhere/docker.sock") as runner:
        [report] = await run(runner, boxes.request("true"))
    assert isinstance(report, RunLost)
    assert report.reason == "no container engine answers; start it, or name another one with docker.host"


@pytest.mark.skipif(ENGINE != "docker", reason="this engine has no daemon that could be lost")
@pytest.mark.parametrize("comes_back", [True, False])
async def test_an_engine_that_is_lost_in_mid_run(boxes: Boxes, comes_back: bool) -> None:
    """It is waited for as long as the settings say; then its container is not forgotten in silence."""
    request = boxes.request("echo up; until [ -e go ]; do sleep 0.1; done; echo on; exit 4")
    way = boxes.place.root / "way"
    patience = 120.0 if comes_back else 1.0
    async with boxes.runner(host=f"unix://{way}", patience=patience) as runner:
        async with way_to_engine(boxes.host, way):
            await runner.start([request])
            await until(lambda: log_of(request) == "up\n")
        if comes_back:
            async with way_to_engine(boxes.host, way):
                (boxes.place.workspace / "go").touch()
                [report] = (await until_ended(runner, [request.run_id])).values()
            assert isinstance(report, RunExited)
            said = log_of(request).splitlines()  # between the two, the client's complaint
            assert (report.code, said[0], said[-1], said.count("up")) == (4, "up", "on", 1)
        else:
            [report] = (await until_ended(runner, [request.run_id])).values()
            assert isinstance(report, RunLost)
            assert report.reason.startswith("the container engine was lost: no container engine answers")
            assert report.reason.endswith(f"its container may live: docker inspect {request.run_id}")
    assert boxes.names() == [request.run_id]


async def test_no_client(boxes: Boxes) -> None:
    """Before anything is asked for."""
    async with boxes.runner(engine="no-such-client") as runner:
        [report] = await run(runner, boxes.request("true"))
    assert isinstance(report, RunNotStarted)
    assert "no-such-client" in report.reason


async def test_no_such_pull_policy(boxes: Boxes) -> None:
    """A class's configuration is text."""
    request = replace(boxes.request("true"), container=ContainerRequest(IMAGE, (), {"pullPolicy": "often"}))
    async with boxes.runner() as runner:
        [report] = await run(runner, request)
    assert isinstance(report, RunNotStarted)
    assert "'often'" in report.reason


async def test_no_shell(boxes: Boxes) -> None:
    """The exit code alone would look like the script's."""
    container = docker("create", "--network", "none", IMAGE, "true").strip()
    folder = boxes.place.root / "empty.tar"
    docker("rm", container)
    folder.write_bytes(b"\0" * 10240)
    name = f"phased-test/empty-{os.getpid()}"
    docker("import", str(folder), name)
    try:
        async with boxes.runner() as runner:
            [report] = await run(runner, boxes.request("true", image=name))
    finally:
        boxes.remove_all()
        docker("rmi", name)
    text = report.note if isinstance(report, RunExited) else getattr(report, "reason", "")
    assert text == f"the image {name} has no shell (sh); choose one that has"


async def test_a_name_that_is_taken(boxes: Boxes) -> None:
    """Another's container is not touched."""
    request = boxes.request("true")
    docker("create", "--name", request.run_id, "--network", "none", IMAGE, "true")
    try:
        async with boxes.runner() as runner:
            [report] = await run(runner, request)
            await runner.forget([request.run_id])
        assert isinstance(report, RunLost)
        assert "another container has its name" in report.reason
        assert docker("container", "inspect", "--format", "{{.State.Status}}", request.run_id) == "created\n"
    finally:
        docker("rm", "--force", request.run_id)


def slow_engine(boxes: Boxes, *, clients: int, before: str = "") -> str:
    """So many clients wait for ever, and make nothing; `before`: what precedes the next ones."""
    slow, seen = boxes.place.root / "slow-engine", boxes.place.root / "clients"
    slow.write_text(f"""#!/bin/sh
        [ "$1" = run ] || exec {ENGINE} "$@"
        echo client >> {seen}
        [ $(wc -l < {seen}) -gt {clients} ] || exec sleep 300
        {before}
        exec {ENGINE} "$@"
        """)
    slow.chmod(0o755)
    return str(slow)


async def kill_clients(runner: Runner, run_id: str, count: int) -> None:
    """One after the other, as each appears."""
    killed: set[int] = set()

    async def is_new() -> bool:
        found = [one.pid for one in await runner.processes(run_id) if one.command == "sleep"]
        for pid in {*found} - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
        return len(killed) == count

    await until_async(is_new)


async def test_a_client_that_is_killed_before_it_has_made_its_container(boxes: Boxes) -> None:
    """Nothing ran, so the next one makes it; the run is none the wiser."""
    request = boxes.request("echo made; exit 3")
    async with boxes.runner(engine=slow_engine(boxes, clients=2)) as runner:
        await runner.start([request])
        await kill_clients(runner, request.run_id, 2)
        [report] = (await until_ended(runner, [request.run_id])).values()
        assert isinstance(report, RunExited)
        assert (report.code, log_of(request)) == (3, "made\n")
        await runner.forget([request.run_id])
        await until(lambda: not boxes.names())


async def test_a_container_that_is_made_late_runs_once(boxes: Boxes) -> None:
    """The engine obeys a client that is dead, and then refuses the next one the name."""
    request = boxes.request("never")
    name = request.run_id
    late = (
        f"{ENGINE} create --name {name} --label phased.run={name} --label phased.state={boxes.place.state}"
        f" --network none {' '.join(options())} {IMAGE} sh -c 'echo late; exit 4' > /dev/null"
    )
    async with boxes.runner(engine=slow_engine(boxes, clients=1, before=late)) as runner:
        await runner.start([request])
        await kill_clients(runner, name, 1)
        [report] = (await until_ended(runner, [name])).values()
    assert isinstance(report, RunExited)
    assert report.code == 4
    assert log_of(request).count("late\n") == 1


async def test_what_has_run_does_not_run_again(boxes: Boxes) -> None:
    """Its client is killed, and somebody has removed its container: what it noted says that there was one."""
    request = boxes.request("echo ran >> runs; sleep 1000")
    runs = boxes.place.workspace / "runs"
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(runs.exists)
        pid = next(one.pid for one in await runner.processes(request.run_id) if one.command == ENGINE)
        os.kill(pid, signal.SIGSTOP)
        docker("rm", "--force", request.run_id)
        os.kill(pid, signal.SIGKILL)
        [report] = (await until_ended(runner, [request.run_id])).values()
    assert isinstance(report, RunLost)
    assert runs.read_text() == "ran\n"


async def test_clients_that_are_killed_again_and_again(boxes: Boxes) -> None:
    """There is an end to that. Nobody removed anything: there was nothing yet."""
    request = boxes.request("true")
    async with boxes.runner(engine=slow_engine(boxes, clients=9)) as runner:
        await runner.start([request])
        await kill_clients(runner, request.run_id, 4)
        [report] = (await until_ended(runner, [request.run_id])).values()
    assert isinstance(report, RunLost)
    assert report.reason == "its client ended, and there is no container"


async def test_a_container_that_is_made_after_its_client_and_its_daemon_have_died(boxes: Boxes) -> None:
    """An engine may be slow. The next daemon does not forget it, though it was done with the run."""
    request = boxes.request("true")
    name = request.run_id
    async with boxes.runner(engine=slow_engine(boxes, clients=9)) as runner:
        await runner.start([request])
        await kill_clients(runner, name, 4)
        await until_ended(runner, [name])
    async with boxes.runner() as runner:
        await runner.forget([name])
    labels = ["--label", f"phased.run={name}", "--label", f"phased.state={boxes.place.state}"]
    docker("create", "--name", name, *labels, "--network", "none", IMAGE, "true")
    async with boxes.runner() as runner:
        await runner.forget([name])
    assert boxes.names() == []


async def test_a_container_that_somebody_removes(boxes: Boxes) -> None:
    """It is no success, and no guess."""
    request = boxes.request("echo up; sleep 1000")
    async with boxes.runner() as runner:
        await runner.start([request])
        await until(lambda: log_of(request) == "up\n")
        docker("rm", "--force", request.run_id)
        [report] = (await until_ended(runner, [request.run_id])).values()
    assert isinstance(report, RunLost)
    assert report.reason == "its container is gone: somebody removed it"
