"""A stop means empty, a stranger is never signalled, and the daemon's end has a deadline and a culprit."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from phased.supervisor.census import look
from tests.api.daemon import PATIENCE, TASKS, Api, Daemon, daemon, last_words, wait_for
from tests.cgroups import delegated_cgroup, groups_of_runs

_PYTHON = sys.executable


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    with daemon() as made:
        yield made


def script(folder: Path, name: str, text: str) -> str:
    """A command that is this Python text."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text))
    return f"exec {_PYTHON} {path}"


def double_fork(folder: Path) -> str:
    """A daemon of its own: another session, another parent, no environment."""
    return f"(env -i setsid sh -c 'sleep 1001 & sleep 1002' &) ; touch {folder}/ready; sleep 1003"


def ignores(folder: Path) -> str:
    """It and its children ignore SIGTERM."""
    return f"trap '' TERM; (while :; do sleep 1001; done) & touch {folder}/ready; while :; do wait; done"


def stopped(folder: Path) -> str:
    """Its child is stopped, and so takes no SIGTERM."""
    return f"sleep 1001 & kill -STOP $!; touch {folder}/ready; sleep 1002"


def forks(folder: Path) -> str:
    """Each generation lives for a moment and is followed by the next."""
    return script(
        folder,
        "forks",
        f"""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        open("{folder}/ready", "w").close()
        if os.fork() == 0:
            while True:
                time.sleep(0.005)
                if os.fork():
                    os._exit(0)
                os.setsid()
        time.sleep(1000)
        """,
    )


@pytest.mark.parametrize("command", [double_fork, ignores, stopped, forks])
def test_a_stopped_step_leaves_nothing(one: Daemon, command: object) -> None:
    """Whatever it did to get away."""
    one.start(env={"PHASED_RUN_STOP_TIMEOUT": "1s"})
    before = set(one.ours())
    api = Api(one.client())
    assert callable(command)
    execution = api.start(api.task("hostile", command(one.home)))
    wait_for((one.home / "ready").exists, "it runs")
    known = {process["pid"] for process in processes(api)}
    assert known
    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
    api.until(execution, "STOPPED", "FAILED")
    assert processes(api) == []
    supervisor = {pid for pid in set(one.ours()) - before if not is_supervisor(pid)}
    assert supervisor == set()


def test_a_stop_of_what_has_ended_outlives_the_daemon(one: Daemon) -> None:
    """It is killed as soon as it has answered; the next one goes on ending what was left."""
    settings = {"PHASED_RUN_STOP_TIMEOUT": "2s"}
    process = one.start(env=settings)
    api = Api(one.client())
    execution = api.run("leaves", "trap '' TERM; (while :; do sleep 1001; done) &")["id"]
    assert processes(api)
    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
    why = api.call("phased.v1.DaemonService/ExplainExecution", {"id": execution})["why"]
    assert why == "what its commands left behind is being ended"
    process.kill()
    process.wait()
    one.start(env=settings)
    api = Api(one.client())
    wait_for(lambda: processes(api) == [], "nothing is left")
    assert api.phase(execution) == "SUCCEEDED"


def test_where_cgroups_are_delegated_a_stop_ends_them(one: Daemon) -> None:
    """Each step has its own, which is gone when it has ended."""
    with delegated_cgroup() as group:
        one.start(env={"PHASED_RUN_STOP_TIMEOUT": "1s", "PHASED_RUN_CGROUP": str(group)})
        api = Api(one.client())
        execution = api.start(api.task("hostile", forks(one.home)))
        wait_for((one.home / "ready").exists, "it runs")
        assert len(groups_of_runs(group)) == 1
        api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
        api.until(execution, "FAILED")  # it ignores SIGTERM
        assert processes(api) == []
        wait_for(lambda: not groups_of_runs(group), "it is gone")
        one.close()


def processes(api: Api) -> list[dict[str, str]]:
    """What `phased ps` shows."""
    return list(api.call("phased.v1.DaemonService/ListProcesses").get("processes", []))


def is_supervisor(pid: int) -> bool:
    """Whether that is what it is; what has ended meanwhile counts as well."""
    try:
        return b"supervisor/__main__.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def freezer(name: str) -> Path | None:
    """A frozen group of the cgroup v1 freezer for processes of this test; None where there is none."""
    for root in (Path("/sys/fs/cgroup/freezer"), Path("/sys/fs/cgroup")):
        if (root / "freezer.state").exists() or (root.name == "freezer" and root.is_dir()):
            made = root / name
            try:
                made.mkdir()
            except OSError:
                continue
            if (made / "freezer.state").exists():
                return made
            made.rmdir()
    return None


def test_what_cannot_be_ended_is_named(one: Daemon) -> None:
    """A frozen process takes no signal; the wait has an end, and it ends once it is thawed."""
    group = freezer(f"phased-test-{os.getpid()}")
    if group is None:
        pytest.skip("the cgroup v1 freezer is not here, or not ours to use")
    try:
        one.start(env={"PHASED_RUN_STOP_TIMEOUT": "1s", "PHASED_RUN_KILL_TIMEOUT": "1s"})
        api = Api(one.client())
        execution = api.start(
            api.task("frozen", f"echo $$ > {one.home}/n; mv {one.home}/n {one.home}/pid; sleep 1000")
        )
        pid = wait_for(lambda: (one.home / "pid").exists() and (one.home / "pid").read_text(), "it runs")
        (group / "cgroup.procs").write_text(pid)
        (group / "freezer.state").write_text("FROZEN")
        wait_for(lambda: (group / "freezer.state").read_text() == "FROZEN\n", "it is frozen")
        api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
        message = api.until(execution, "FAILED")["status"]["failureMessage"]
        assert "could not be ended" in message
        assert pid.strip() in message
    finally:
        (group / "freezer.state").write_text("THAWED")
        one.close()
        wait_for(lambda: not (group / "cgroup.procs").read_text(), "it is empty")
        group.rmdir()


def test_services_end_in_reverse_order(one: Daemon) -> None:
    """What needs another one ends before it, when the daemon ends."""
    order = one.home / "order"
    services = {}
    for name, needs in (("db", []), ("api", ["db"]), ("web", ["api"])):
        start = f"trap 'echo {name} >> {order}; exit 0' TERM; while :; do sleep 0.05; done"
        services[name] = {"commands": {"start": start}, "dependsOn": needs}
    (one.workspace / ".ona").mkdir()
    (one.workspace / ".ona" / "automations.yaml").write_text(json.dumps({"services": services}))
    process = one.start()
    api = Api(one.client())
    found = api.call(f"{TASKS}/ListServices")["services"]
    web = next(service["id"] for service in found if service["metadata"]["reference"] == "web")
    api.call(f"{TASKS}/StartService", {"id": web})
    wait_for(lambda: running(api) == 3, "all run")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert order.read_text().split() == ["web", "api", "db"]


def running(api: Api) -> int:
    """How many services run."""
    found = api.call(f"{TASKS}/ListServices")["services"]
    return sum(service["status"]["phase"] == "SERVICE_PHASE_RUNNING" for service in found)


def test_the_end_has_a_deadline_and_a_culprit(one: Daemon) -> None:
    """Step and pid are named, with the time that is left; then it ends all the same."""
    environment = {"PHASED_RUN_STOP_TIMEOUT": "1000s", "PHASED_DAEMON_STOP_TIMEOUT": "3s"}
    process = one.start(env=environment)
    api = Api(one.client())
    command = (
        f"trap '' TERM; echo $$ > {one.home}/n; mv {one.home}/n {one.home}/pid; while :; do sleep 0.05; done"
    )
    execution = api.start(api.task("stubborn", command))
    pid = wait_for(lambda: (one.home / "pid").exists() and (one.home / "pid").read_text().strip(), "it runs")
    process.send_signal(signal.SIGTERM)
    said = last_words(process)
    assert f"waiting for stubborn ({execution}): pid {pid}" in said
    assert f"cannot wait any longer for stubborn ({execution}): pid {pid}" in said
    assert look(int(pid)) is not None


_REUSE = """
import os, signal, sys, time
from pathlib import Path

want, folder = int(sys.argv[1]), Path(sys.argv[2])
for _ in range(2000):
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(want - 1))
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.getpid() == want:
            signal.signal(signal.SIGTERM, lambda *_: (folder / "signalled").touch())
            (folder / "stranger").touch()
            time.sleep(1000)
        os._exit(0)
    if pid == want:
        time.sleep(1000)
    os.waitpid(pid, 0)
sys.exit("never got the pid")
"""


@pytest.mark.parametrize(
    "limits", ["", "prlimit --msgqueue=80000:80000 "], ids=["marks", "no room for marks"]
)
def test_a_stranger_with_a_pid_of_ours_is_never_signalled(one: Daemon, limits: str) -> None:
    """Daemon and supervisor are killed, the step ends, its pid is used again: the next daemon sees it."""
    unshare = shutil.which("unshare")
    inside = [unshare or "", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]
    try:
        possible = subprocess.run([*inside, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        possible = False
    if not possible:
        pytest.skip("a pid namespace of its own is needed, for which this user has no right")
    program = Path(one.home / "inside.py")
    program.write_text(_INSIDE)
    (one.home / "reuse.py").write_text(_REUSE)
    done = subprocess.run(
        [*inside, f"exec {limits}{_PYTHON} {program} {one.home} {_PYTHON}"],
        env={**one.environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a stranger lives, unsignalled" in done.stdout


_INSIDE = """
import os, signal, subprocess, sys
from pathlib import Path
from phased.supervisor.census import everyone, look
from tests.api.daemon import TASKS, Api, Daemon, wait_for

one = Daemon()
home = Path(sys.argv[1])
try:
    process = one.start()
    api = Api(one.client())
    command = f"echo $$ > {home}/n; mv {home}/n {home}/pid; exec sleep 1000"
    execution = api.start(api.task("victim", command))
    pid = int(wait_for(lambda: (home / "pid").exists() and (home / "pid").read_text(), "it runs"))
    process.kill()
    process.wait()
    for other in everyone().values():
        if b"supervisor/__main__.py" in Path(f"/proc/{other.pid}/cmdline").read_bytes():
            os.kill(other.pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)

    def gone():
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            pass
        return look(pid) is None

    wait_for(gone, "its pid is free")
    reuse = subprocess.Popen([sys.argv[2], str(home / "reuse.py"), str(pid), str(home)])
    wait_for((home / "stranger").exists, "a stranger has its pid")
    one.start()
    api = Api(one.client())
    found = api.until(execution, "FAILED")
    assert "ended while the daemon was away" in found["status"]["failureMessage"], found
    api.call(f"{TASKS}/StopTaskExecution", {"id": execution})
    assert look(pid).living
    assert not (home / "signalled").exists()
    print("a stranger lives, unsignalled")
    reuse.kill()
finally:
    one.close()
"""


def test_a_service_that_holds_up_the_end_is_named_again_and_again(one: Daemon) -> None:
    """To people and in the log, with the time that is left, until that is over."""
    limits = {"PHASED_SERVICES_STOP_TIMEOUT": "1000s", "PHASED_DAEMON_STOP_TIMEOUT": "5s"}
    process = one.start(env={**limits, "PHASED_LOG_LEVEL": "info"})
    api = Api(one.client())
    start = (
        f"trap '' TERM; echo $$ > {one.home}/n; mv {one.home}/n {one.home}/pid; while :; do sleep 0.05; done"
    )
    api.serve("db", start)
    pid = wait_for(lambda: (one.home / "pid").exists() and (one.home / "pid").read_text().strip(), "it runs")
    process.send_signal(signal.SIGTERM)
    said = last_words(process)
    left = [int(one) for one in re.findall(rf"waiting for the service db: pid {pid}.*; (\d+) s left", said)]
    assert len(left) > 1
    assert left == sorted(set(left), reverse=True)
    assert said.count("event='end_waits'") == len(left)
    assert f"cannot wait any longer for the service db: pid {pid}" in said


def leaves_behind(one: Daemon, api: Api) -> tuple[str, int]:
    """An execution that has ended, and the process that it left, which ignores SIGTERM."""
    text = f"""
    import os, signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("{one.home}/n", "w").write(str(os.getpid()))
    os.rename("{one.home}/n", "{one.home}/pid")
    while True:
        time.sleep(100)
    """
    execution = api.run("leaves", f"({script(one.home, 'stays', text)}) &")["id"]
    pid = wait_for(lambda: (one.home / "pid").exists() and (one.home / "pid").read_text(), "it is left")
    return execution, int(pid)


def test_what_was_left_behind_is_waited_for_and_named(one: Daemon) -> None:
    """With whose it is, each second; and at the deadline, when it goes on."""
    limits = {"PHASED_RUN_STOP_TIMEOUT": "1000s", "PHASED_DAEMON_STOP_TIMEOUT": "8s"}
    process = one.start(env={**limits, "PHASED_LOG_LEVEL": "info"})
    execution, pid = leaves_behind(one, Api(one.client()))
    process.send_signal(signal.SIGTERM)
    said = last_words(process)
    whose = rf"what leaves \({execution}\) left behind: pid {pid}"
    left = [int(seconds) for seconds in re.findall(rf"waiting for {whose}; (\d+) s left", said)]
    assert len(left) > 1
    assert said.count("event='end_waits'") == len(left)
    assert re.search(rf"cannot wait any longer for {whose}; it goes on without a daemon", said)
    assert look(pid) is not None


def test_who_asks_again_does_not_wait_for_what_was_left_behind(one: Daemon) -> None:
    """It is killed at once, whenever that is asked."""
    limits = {"PHASED_RUN_STOP_TIMEOUT": "1000s", "PHASED_DAEMON_STOP_TIMEOUT": "1000s"}
    process = one.start(env=limits)
    _, pid = leaves_behind(one, Api(one.client()))
    process.send_signal(signal.SIGTERM)

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            one.lines.append(line)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    wait_for(lambda: any(f"left behind: pid {pid}" in line for line in one.lines), "it is waited for")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    listener.join(PATIENCE)
    assert "killing what still runs\n" in one.lines
    assert not any("goes on without a daemon" in line for line in one.lines)
    wait_for(lambda: (found := look(pid)) is None or not found.living, "it was killed")


def test_what_cannot_be_ended_of_a_service_is_named(one: Daemon) -> None:
    """Beside its status, with pid and state; and again when the daemon ends."""
    group = freezer(f"phased-test-service-{os.getpid()}")
    if group is None:
        pytest.skip("the cgroup v1 freezer is not here, or not ours to use")
    try:
        process = one.start(env={"PHASED_SERVICES_STOP_TIMEOUT": "1s", "PHASED_RUN_KILL_TIMEOUT": "1s"})
        api = Api(one.client())
        start = f"echo $$ > {one.home}/n; mv {one.home}/n {one.home}/pid; sleep 1000"
        service = api.serve("frozen", start)
        pid = wait_for(lambda: (one.home / "pid").exists() and (one.home / "pid").read_text().strip(), "runs")
        (group / "cgroup.procs").write_text(pid)
        (group / "freezer.state").write_text("FROZEN")
        wait_for(lambda: (group / "freezer.state").read_text() == "FROZEN\n", "it is frozen")
        api.call(f"{TASKS}/StopService", {"id": service})

        def failure() -> str:
            status = api.call(f"{TASKS}/GetService", {"id": service})["service"]["status"]
            return str(status.get("failureMessage", ""))

        message = wait_for(failure, "the wait has an end")
        assert re.search(rf"could not be ended: process {pid} \(\w+, state D\) outlived SIGKILL", message)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert re.search(rf"cannot end the service frozen: pid .*{pid}", process.stderr.read())
        assert process.wait(PATIENCE) == 0
    finally:
        (group / "freezer.state").write_text("THAWED")
        one.close()
        wait_for(lambda: not (group / "cgroup.procs").read_text(), "it is empty")
        group.rmdir()


def test_a_reload_asked_for_during_the_end_kills_nothing(one: Daemon) -> None:
    """It comes too late; what is being stopped gets its time."""
    process = one.start()
    api = Api(one.client())
    stops, gate, stopped = (one.home / name for name in ("stops", "gate", "stopped"))
    stop = f": > {stops}; until test -e {gate}; do sleep 0.05; done; : > {stopped}; exit 0"
    start = f"trap '{stop}' TERM; touch {one.home}/runs; while :; do sleep 0.05; done"
    api.serve("db", start)
    wait_for((one.home / "runs").exists, "it runs")
    process.send_signal(signal.SIGTERM)
    wait_for(stops.exists, "it is being stopped")
    for number in (signal.SIGHUP, signal.SIGUSR2):
        process.send_signal(number)
        assert api.client.get("/readyz").text == "ending\n"  # it has seen the signal by then
    gate.touch()
    said = last_words(process)
    assert "killing" not in said
    assert stopped.exists()
