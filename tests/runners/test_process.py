"""Commands as processes: what a step finds around itself, and what is told of its end."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import stat
import sys
from signal import SIGKILL

import pytest

from phased.ports import RunExited, Runner, RunNotStarted, RunReport
from phased.runners import fleet
from phased.supervisor import client
from phased.supervisor.journal import read_journal
from tests.runners.build import (
    Place,
    bytes_of,
    log_of,
    outcome,
    run,
    until,
    until_async,
    until_ended,
    until_started,
)

pytestmark = pytest.mark.anyio


async def _output(place: Place, command: str, **environment: str) -> str:
    async with place.runner(environment=environment) as runner:
        request = place.request(command)
        [report] = await run(runner, request)
        assert outcome(report) == 0, log_of(request)
        return log_of(request)


@pytest.mark.parametrize(
    ("command", "expected"), [("exit 7", 7), ("kill -9 $$", "signal 9"), ("kill -15 $$", "signal 15")]
)
async def test_the_exit_is_told_as_it_was(place: Place, command: str, expected: int | str) -> None:
    """Code or signal."""
    async with place.runner() as runner:
        assert [outcome(report) for report in await run(runner, place.request(command))] == [expected]


async def test_output_and_errors_go_to_the_log_in_order(place: Place) -> None:
    """One pipe for both."""
    assert await _output(place, "echo a; echo b >&2; echo c") == "a\nb\nc\n"


async def test_a_log_is_appended_to_and_private(place: Place) -> None:
    """A second attempt writes behind the first."""
    log = place.logs / "x.log"
    log.write_text("before\n")
    log.chmod(0o600)
    async with place.runner() as runner:
        await run(runner, place.request("echo after", log=str(log)))
        fresh = place.request("echo fresh")
        await run(runner, fresh)
    assert log.read_text() == "before\nafter\n"
    assert stat.S_IMODE(os.stat(fresh.log).st_mode) == 0o600


async def test_a_step_has_three_descriptors_a_session_and_no_input(place: Place) -> None:
    """Nothing of the supervisor reaches it (rule 16)."""
    command = "cat; ls /proc/self/fd | wc -w; ps -o sid= -p $$ | tr -d ' '; echo $$"
    words = (await _output(place, command)).split()
    assert words[0] == "4", "0, 1, 2, and the one that ls opened"
    assert words[1] == words[2]


async def test_signals_are_default_and_unblocked(place: Place) -> None:
    """Whatever the supervisor blocks or ignores (rule 16)."""
    output = await _output(place, "grep -E '^Sig(Blk|Ign)' /proc/self/status")
    internal = 3 << 31  # posix_spawn of glibc ignores two signals that are its own: 32 and 33
    assert [int(line.split()[1], 16) & ~internal for line in output.splitlines()] == [0, 0]


async def test_limits_umask_and_directory_are_the_users(place: Place) -> None:
    """Not those of the supervisor (rule 16)."""
    before = os.umask(0o027)
    try:
        runner = place.runner()
    finally:
        os.umask(before)
    async with runner:
        request = place.request("umask; ulimit -n; pwd; cat /proc/self/oom_score_adj")
        await run(runner, request)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    umask, files, directory, oom = log_of(request).split()
    assert umask == "0027"
    assert files in (str(limit), "unlimited")
    assert directory == str(place.workspace)
    assert int(oom) >= 0


async def test_a_protection_of_the_daemon_is_not_the_steps(place: Place) -> None:
    """It would be killed last, and go before all others (rule 16)."""
    if os.geteuid() != 0:
        pytest.skip("only root can have one")
    protected = 'echo -500 > /proc/self/oom_score_adj; exec nice -n -20 "$@"'
    async with place.runner(program=["/bin/sh", "-c", protected, "sh", *client.program()]) as runner:
        request = place.request("cat /proc/self/oom_score_adj; nice")
        await run(runner, request)
    assert log_of(request) == "0\n0\n"


_OPEN_A_QUEUE = """
import ctypes, os
library = ctypes.CDLL(None, use_errno=True)
name = f"/test-{os.getpid()}".encode()
queue = library.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
library.mq_unlink(name)
print("opened" if queue >= 0 else os.strerror(ctypes.get_errno()))
"""


async def test_a_mark_leaves_room_for_message_queues(place: Place) -> None:
    """It is a limit of these, and near the highest; each run has another (rule 20)."""
    script = place.root / "queue.py"
    script.write_text(_OPEN_A_QUEUE)
    async with place.runner(shell="bash") as runner:
        command = f"ulimit -S -q; ulimit -H -q; {sys.executable} -I -S {script}"
        requests = [place.request(command) for _ in range(3)]
        await run(runner, *requests)
        [supervisor] = place.supervisors()
        own = resource.prlimit(supervisor, resource.RLIMIT_MSGQUEUE)
    found = [log_of(request).split() for request in requests]
    assert len({mark for mark, _, _ in found}) == 3
    assert all(int(mark) < int(hard) for mark, hard, _ in found if hard != "unlimited")
    assert own == resource.getrlimit(resource.RLIMIT_MSGQUEUE), "set back after each spawn"
    assert {opened for _, _, opened in found} == {"opened"}


async def test_where_there_is_no_room_for_marks_there_are_none(place: Place) -> None:
    """A limit that is too low already stays as it is (rule 20)."""
    low = 'ulimit -q 80000 && exec "$@"'
    program = ["bash", "-c", low, "bash", *client.program()]
    program[0] = shutil.which("bash") or "/bin/bash"
    async with place.runner(shell="bash", program=program) as runner:
        request = place.request("ulimit -S -q; exit 3")
        assert outcome((await run(runner, request))[0]) == 3
    assert log_of(request) == "80000\n"


async def test_the_pipe_of_a_step_that_fills_it_grows(place: Place) -> None:
    """Of no other: there is a limit for each user (rule 10)."""
    async with place.runner() as runner:
        go = place.root / "go"
        wait = f"while [ ! -e {go} ]; do sleep 0.02; done"
        quiet, loud = place.request(f"echo x; {wait}"), place.request(f"head -c 3000000 /dev/zero; {wait}")
        await runner.start([quiet, loud])
        await until(lambda: len(bytes_of(loud)) == 3_000_000 and bytes_of(quiet))
        sizes = []
        for request in (quiet, loud):
            [leader] = [p.pid for p in await runner.processes(request.run_id) if p.leader]
            with open(f"/proc/{leader}/fd/1", "rb", buffering=0) as pipe:  # noqa: ASYNC230 - it is open already
                sizes.append(fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ))
        go.touch()
        await until_ended(runner, [quiet.run_id, loud.run_id])
    assert sizes == [1 << 16, 1 << 20]


async def test_the_environment_is_the_base_less_the_engines_own_and_the_runs(place: Place) -> None:
    """What systemd told the daemon is untrue for a step."""
    base = {
        "A": "base",
        "B": "base",
        "NOTIFY_SOCKET": "x",
        "LISTEN_FDS": "1",
        "WATCHDOG_PID": "1",
        "PHASED_TOKEN": "x",
    }
    async with place.runner(environment=base) as runner:
        request = place.request("env", B="own", PHASED_STEP_ID="id", C="ü\nx")
        await run(runner, request)
    found = log_of(request)
    assert "A=base\n" in found
    assert "B=own\n" in found
    assert "PHASED_STEP_ID=id\n" in found
    assert "C=ü\nx\n" in found
    assert f"PHASED_RUN_ID={request.run_id}\n" in found
    assert f"PWD={place.workspace}\n" in found
    for gone in ("NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_PID", "PHASED_TOKEN"):
        assert f"{gone}=" not in found


async def test_bytes_that_are_no_text_survive_in_the_environment(place: Place) -> None:
    """From the daemon over JSON to the step."""
    async with place.runner(environment={"RAW": os.fsdecode(b"\xff\xfe")}) as runner:
        request = place.request('printf "%s" "$RAW"')
        await run(runner, request)
    assert bytes_of(request) == b"\xff\xfe"


async def test_the_default_shell_is_bash_if_present_else_sh(place: Place) -> None:
    """Where none was chosen."""
    expected = "bash" if os.access("/bin/bash", os.X_OK) else "sh"
    async with place.runner(shell=None) as runner:
        request = place.request("cat /proc/$$/comm; true")
        await run(runner, request)
    assert log_of(request).strip() == expected


async def test_a_shell_by_name_is_found(place: Place) -> None:
    """On the PATH."""
    async with place.runner(shell="sh") as runner:
        assert [outcome(r) for r in await run(runner, place.request("exit 3"))] == [3]


async def test_no_e_the_last_status_counts(place: Place) -> None:
    """The script decides by itself."""
    async with place.runner() as runner:
        assert [outcome(r) for r in await run(runner, place.request("false\ntrue"))] == [0]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
async def test_a_script_of_1_mb_runs_as_any_other(place: Place, shell: str) -> None:
    """Longer than an argument may be; same $0, arguments and output, and nothing is left of it."""
    if not os.access(shell, os.X_OK):
        pytest.skip(f"{shell} is not here")
    filler = ": 'ü and other words that fill a line'\n" * 30_000
    command = f"x=1\n{filler}echo $0 $# $x\nexit 5\n"
    assert len(command) > 1_000_000
    async with place.runner(shell=shell) as runner:
        short, long = place.request("echo $0 $# 1\nexit 5"), place.request(command)
        assert [outcome(r) for r in await run(runner, short, long)] == [5, 5]
    assert log_of(long) == log_of(short)
    assert sorted(path.name for path in place.logs.iterdir()) == ["1.log", "2.log"], "the script is gone"


def _reason(report: RunReport) -> str:
    assert isinstance(report, RunNotStarted), report
    return report.reason


async def test_what_cannot_start_says_why(place: Place) -> None:
    """A phrase for each cause, and the others still start."""
    absent = str(place.root / "absent")
    (place.root / "file").write_text("")
    fifo, link = str(place.logs / "fifo"), str(place.logs / "link")
    os.mkfifo(fifo)
    os.symlink(place.root / "elsewhere", link)
    async with place.runner() as runner:
        reports = await run(
            runner,
            place.request("true", directory=absent),
            place.request("true", directory=str(place.root / "file")),
            place.request("true", log=fifo),
            place.request("true", log=link),
            place.request("true", log=absent + "/x.log"),
            place.request("true", log=str(place.logs)),
            place.request("true", BIG="x" * 200_000),
            place.request("true\0"),
        )
        assert outcome((await run(runner, place.request("exit 4")))[0]) == 4, "others still start"
    reasons = [_reason(report) for report in reports]
    assert reasons[0] == f"no such directory: {absent}"
    assert reasons[1].startswith("not a directory")
    assert "cannot be opened" in reasons[2]
    assert "cannot be opened" in reasons[3]
    assert "No such file" in reasons[4]
    assert "cannot be opened" in reasons[5]
    assert "larger than the system allows" in reasons[6]
    assert "not possible" in reasons[7]
    assert not (place.root / "elsewhere").exists()


async def test_a_shell_that_is_missing_is_named(place: Place) -> None:
    """It is a setting, so its name helps."""
    async with place.runner(shell="/no/such/shell") as runner:
        [report] = await run(runner, place.request("true"))
    assert _reason(report) == "no such shell: /no/such/shell"


async def test_starting_again_by_the_same_id_starts_nothing(place: Place) -> None:
    """Idempotent by run id (rule 3)."""
    async with place.runner() as runner:
        request = place.request("echo once")
        await run(runner, request)
        await runner.start([request])
        await run(runner, place.request("true"))
    assert log_of(request) == "once\n"


async def test_the_leaders_exit_ends_a_run_not_the_end_of_its_output(place: Place) -> None:
    """Background children go on, and so does their output (rule 12)."""
    async with place.runner() as runner:
        request = place.request(
            f"(while [ ! -e {place.root}/go ]; do sleep 0.02; done; echo late) & echo early"
        )
        assert [outcome(r) for r in await run(runner, request)] == [0]
        assert log_of(request) == "early\n", "drained before the exit is told"
        left = await runner.leftovers()
        assert set(left) == {request.run_id}
        (place.root / "go").touch()
        await until(lambda: log_of(request) == "early\nlate\n")


async def test_a_runner_that_leaves_ends_no_step_and_the_next_gets_its_exit(place: Place) -> None:
    """Also its log, unbroken; and in the end nothing is left."""
    go = place.root / "go"
    request = place.request(f"echo a; while [ ! -e {go} ]; do sleep 0.02; done; echo b; exit 6")
    async with place.runner() as runner:
        await runner.start([request])
        await until_started(runner, [request.run_id])
    async with place.runner() as runner:
        assert await runner.known([request.run_id]) == {request.run_id: "running"}
        [process, *_] = await runner.processes(request.run_id)
        assert process.leader
        go.touch()
        ended = await until_ended(runner, [request.run_id])
        assert outcome(ended[request.run_id]) == 6
        await runner.forget([request.run_id])
    assert log_of(request) == "a\nb\n"
    assert place.supervisors() == []
    assert place.generations() == []


async def test_what_ended_while_nobody_was_there_is_known(place: Place) -> None:
    """From the journal, until it is forgotten."""
    requests = [place.request("sleep 0.2; exit 9"), place.request("sleep 0.2")]
    async with place.runner() as runner:
        await runner.start(requests)
        await until_started(runner, [r.run_id for r in requests])
    await until(lambda: not place.supervisors())
    ids = [r.run_id for r in requests]
    async with place.runner() as runner:
        known = await runner.known([*ids, "other"])
        assert [r.code for r in known.values() if isinstance(r, RunExited)] == [9, 0]
        assert known["other"] == "absent"
    async with place.runner() as runner:
        assert set(await runner.known(ids)) == set(ids), "kept until it is forgotten"
        assert all(isinstance(r, RunExited) for r in (await runner.known(ids)).values())
        await runner.forget(ids)
    async with place.runner() as runner:
        assert await runner.known(ids) == dict.fromkeys(ids, "absent")
    assert place.generations() == []


async def test_files_of_a_supervisor_are_private(place: Place) -> None:
    """Rule 7."""
    async with place.runner() as runner:
        await run(runner, place.request("true"))
        folder = place.state / "supervisors" / "1"
        modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.iterdir()]}
    assert modes == {"1": 0o700, "lock": 0o600, "journal": 0o600, "socket": 0o600, "errors": 0o600}


async def test_a_supervisor_hands_over_after_so_many_runs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It remembers every run it had, so one could not do for ever; what still runs there goes on."""
    monkeypatch.setattr(fleet, "_RUNS_OF_A_GENERATION", 3)
    async with place.runner() as runner:
        long = place.request(f"while [ ! -e {place.root}/go ]; do sleep 0.02; done; exit 9")
        await runner.start([long])
        await until_started(runner, [long.run_id])
        for _ in range(8):
            short = place.request("exit 2")
            assert [outcome(report) for report in await run(runner, short)] == [2]
            await runner.forget([short.run_id])
        await until(lambda: place.generations() == [1, 3])
        assert any(process.leader for process in await runner.processes(long.run_id))
        (place.root / "go").touch()
        assert outcome((await until_ended(runner, [long.run_id]))[long.run_id]) == 9
        await runner.forget([long.run_id])
        await until(lambda: place.generations() == [3])
    assert place.generations() == []
    assert place.supervisors() == []


_NESTED = """
import os, sys
from pathlib import Path
from signal import SIGKILL
import anyio
from phased.engine.clock import SystemClock
from phased.ports import RunExited, RunRequest
from phased.runners.process import ProcessRunner

async def main():
    root = sys.argv[1]
    os.mkdir(root)
    async with ProcessRunner(Path(root), dict(os.environ), "/bin/sh", SystemClock()) as runner:
        command = "env -i setsid -f sleep 300 >/dev/null 2>&1; exit 0"
        await runner.start([RunRequest("inner.1", command, {}, "/", root + "/log")])
        while not any(isinstance(report, RunExited) for report in await runner.reports()):
            pass

anyio.run(main)
"""


async def test_what_a_nested_daemon_leaves_belongs_to_the_outer_step(place: Place) -> None:
    """Its supervisor and its steps are descendants of ours, whatever they cleared (rule 20)."""
    script = place.root / "nested.py"
    script.write_text(_NESTED)
    paths = os.pathsep.join(filter(None, sys.path))
    async with place.runner(environment={**os.environ, "PYTHONPATH": paths}) as runner:
        others = [place.request("sleep 300") for _ in range(3)]
        request = place.request(f"exec {sys.executable} {script} {place.root}/inner")
        await runner.start([request, *others])
        assert outcome((await until_ended(runner, [request.run_id]))[request.run_id]) == 0, log_of(request)

        async def names() -> list[str]:
            return sorted(p.command for p in await runner.processes(request.run_id))

        async def is_settled() -> bool:
            return (await names())[-1:] == ["sleep"] and len(await names()) == 2

        await until_async(is_settled)
        inner = place.root / "inner" / "supervisors" / "1"
        os.kill(next(iter(read_journal(str(inner / "journal"))))[3]["pid"], SIGKILL)

        async def is_alone() -> bool:
            left = await runner.leftovers()
            return [p.command for run_id in left for p in left[run_id]] == ["sleep"]

        await until_async(is_alone)
        for run_id in [*await runner.leftovers(), *[other.run_id for other in others]]:
            await runner.signal(run_id, SIGKILL)
        await until_async(lambda: _is_empty(runner))


async def _is_empty(runner: Runner) -> bool:
    return not await runner.leftovers()
