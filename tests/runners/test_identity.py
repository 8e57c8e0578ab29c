"""As whom steps run, and whose step a process is."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from phased.engine.clock import SystemClock
from phased.errors import PermissionDenied, RunnerError, SettingsError
from phased.ports import RunExited, RunNotStarted, RunReport, RunRequest
from phased.runners.identity import environment_of_step, give_away, person, runs_as, user_of_steps
from phased.runners.process import ProcessRunner
from phased.runners.users import RunnerOfUsers, make_runner, open_runner
from phased.settings.sections import RunSettings
from tests.runners.build import DEADLINE, MARKER, Place

pytestmark = pytest.mark.anyio
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run steps as others")
NOBODY = 65534
LONG = " #" + "x" * 140_000
"""Makes a command longer than one argument may be."""


@asynccontextmanager
async def several(place: Place, named: int | None = None) -> AsyncIterator[RunnerOfUsers]:
    """The runner of a daemon of root."""
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "ROOTS": "own", MARKER: str(place.root)}
    clock = SystemClock()
    make = make_runner(environment, "/bin/sh", clock)
    async with RunnerOfUsers(place.state, named, clock, make) as runner:
        yield runner


def given(place: Place, uid: int) -> Path:
    """The workspace, given to a user."""
    os.chmod(place.root, 0o755)
    os.chown(place.workspace, uid, uid)
    return place.workspace


def request(place: Place, command: str, **environment: str) -> RunRequest:
    """A run whose log lies where a state directory has it."""
    folder = place.state / "runs" / str(uuid4())
    folder.mkdir(parents=True, mode=0o700)
    log = str(folder / "step.log")
    variables = {"PHASED_OUTPUT": f"{log}.output", MARKER: str(place.root), **environment}
    return RunRequest(f"{uuid4()}.1", command, variables, str(place.workspace), log)


async def until(runner: RunnerOfUsers | ProcessRunner, kind: type[RunReport]) -> RunReport:
    """The first report of a kind."""
    with anyio.fail_after(DEADLINE):
        while True:
            for report in await runner.reports():
                if isinstance(report, kind):
                    return report


async def said(runner: RunnerOfUsers, asked: RunRequest) -> list[str]:
    """The lines that a command printed."""
    await runner.start([asked])
    await until(runner, RunExited)
    return Path(asked.log).read_text().splitlines()  # noqa: ASYNC240 - a file of a test


async def alive(runner: RunnerOfUsers, *asked: RunRequest) -> list[str]:
    """Those of the runs that have a process."""
    return [one.run_id for one in asked if await runner.processes(one.run_id)]


# ---- users ---------------------------------------------------------------------------------------


@as_root
async def test_steps_run_as_the_owner_of_their_workspace(place: Place) -> None:
    """With that user's ids, groups, home and login environment, and nothing that root may."""
    given(place, NOBODY)
    command = (
        'id -u; id -g; id -G; echo "$HOME $USER $LOGNAME $LANG ${ROOTS-none}"; grep Cap[PE] /proc/self/status'
    )
    async with several(place) as runner:
        lines = await said(runner, request(place, command + LONG))
    who = person(NOBODY)
    assert lines[0] == str(NOBODY)
    assert lines[1] == str(who.gid)
    assert set(lines[2].split()) == {str(group) for group in who.groups}
    assert lines[3] == f"{who.home} {who.name} {who.name} C.UTF-8 none"
    assert [line.split()[1].strip("0") for line in lines[4:]] == ["", ""]


@as_root
async def test_such_a_step_has_its_output_and_nothing_of_roots(place: Place) -> None:
    """It sets outputs, may open /dev/stderr again, and cannot look into the state."""
    given(place, NOBODY)
    async with several(place) as runner:
        asked = request(
            place,
            'echo one > /dev/stderr; echo K=V > "$PHASED_OUTPUT"; cat "$LOG" || echo closed;'
            ' ls "$STATE" || echo closed; [ -w "$STATE" ] || echo unwritable',
            STATE=str(place.state),
        )
        asked.environment["LOG"] = asked.log  # type: ignore[index] # the dict that request made
        lines = await said(runner, asked)
    assert [line for line in lines if ":" not in line] == ["one", "closed", "closed", "unwritable"]
    output = Path(f"{asked.log}.output")
    assert output.read_text() == "K=V\n"  # noqa: ASYNC240 - a file of a test
    assert output.stat().st_uid == NOBODY  # noqa: ASYNC240 - as above
    facts = os.stat(asked.log)
    assert (facts.st_uid, stat.S_IMODE(facts.st_mode)) == (0, 0o600)


@as_root
async def test_one_supervisor_a_user(place: Place) -> None:
    """Root's own steps beside another's; both are found, ended and adopted."""
    given(place, NOBODY)
    other = place.root / "roots"
    other.mkdir()
    theirs = request(place, "exec sleep 300")
    roots = request(place, "exec sleep 300")
    roots = RunRequest(roots.run_id, roots.command, roots.environment, str(other), roots.log)
    async with several(place) as runner:
        await runner.start([theirs, roots])
        with anyio.fail_after(DEADLINE):
            while len(await alive(runner, theirs, roots)) < 2:  # noqa: ASYNC110 - no runner tells of that
                await anyio.sleep(0.01)
        assert len(runner.supervisors) == 2
    async with several(place) as runner:
        assert await runner.known([theirs.run_id, roots.run_id, "nothing"]) != {}
        await runner.start([theirs, roots])
        owners = {}
        for asked in (theirs, roots):
            (process,) = await runner.processes(asked.run_id)
            owners[asked.run_id] = Path(f"/proc/{process.pid}").stat().st_uid  # noqa: ASYNC240 - as above
        assert owners == {theirs.run_id: NOBODY, roots.run_id: 0}
        for asked in (theirs, roots):
            assert await runner.signal(asked.run_id, 9) == 1
        ended: set[str] = set()
        with anyio.fail_after(DEADLINE):
            while len(ended) < 2:
                ended |= {one.run_id for one in await runner.reports() if isinstance(one, RunExited)}
        assert ended == {theirs.run_id, roots.run_id}
        await runner.forget(list(ended))


@as_root
async def test_a_workspace_that_is_not_there_starts_nothing(place: Place) -> None:
    """As whom would not be known: it is told, and others of the bunch start."""
    given(place, NOBODY)
    async with several(place) as runner:
        good, bad = request(place, "true"), request(place, "true")
        bad = RunRequest(bad.run_id, bad.command, bad.environment, str(place.root / "none"), bad.log)
        await runner.start([bad, good])
        refused = await until(runner, RunNotStarted)
        assert isinstance(refused, RunNotStarted)
        assert (refused.run_id, refused.reason) == (bad.run_id, f"no such directory: {place.root}/none")


@as_root
async def test_settings_may_name_the_user(place: Place) -> None:
    """Whoever owns the workspace."""
    os.chmod(place.root, 0o755)
    async with several(place, named=NOBODY) as runner:
        assert await said(runner, request(place, "id -u")) == [str(NOBODY)]


@as_root
def test_a_workspace_is_given_with_all_in_it(tmp_path: Path) -> None:
    """Links are given, not followed."""
    outside = tmp_path / "outside"
    outside.write_text("")
    made = tmp_path / "all" / "workspace"
    (made / "a" / "b").mkdir(parents=True)
    (made / "a" / "b" / "file").write_text("")
    (made / "link").symlink_to(outside)
    give_away(made, person(NOBODY))
    given_to = {path.lstat().st_uid for path in [made, *made.rglob("*")]}
    assert given_to == {NOBODY}
    assert outside.stat().st_uid == 0
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o711


def test_who_is_named(tmp_path: Path) -> None:
    """By name and number; nobody, where nothing is said."""
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert user_of_steps("") is None
    assert user_of_steps("4711") == 4711
    assert user_of_steps(name) == os.geteuid()
    with pytest.raises(SettingsError, match="there is no such user"):
        user_of_steps("no-such-user-here")
    if os.geteuid():
        assert runs_as(str(tmp_path), 4711) is None
    else:
        assert runs_as(str(tmp_path), None) is None
        found = runs_as("/", 4711)
        assert found is not None
        assert (found.uid, found.name, found.home) == (4711, "4711", "/")
        with pytest.raises(RunnerError, match="no such directory"):
            runs_as(str(tmp_path / "none"), None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can")
async def test_only_root_runs_steps_as_others(tmp_path: Path) -> None:
    """It is refused at once."""
    with pytest.raises(SettingsError, match="only a daemon of root can"):
        async with open_runner(tmp_path, {}, RunSettings(user="0"), SystemClock()):
            pass


# ---- whose step a process is ---------------------------------------------------------------------

OURS, FOREIGN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
is_ours: Callable[[str], bool] = OURS.__eq__


@asynccontextmanager
async def asked_in(
    place: Place, command: str, environment: str = OURS
) -> AsyncIterator[tuple[int, list[int]]]:
    """The pid that a step writes into the file `pid`, and the supervisors; the step is ended afterwards."""
    asked = place.request(command, PHASED_ENVIRONMENT_ID=environment, PHASED_TASK="t")
    file = place.workspace / "pid"
    async with place.runner() as runner:
        await runner.start([asked])
        try:
            with anyio.fail_after(DEADLINE):
                while not (file.exists() and file.read_text().endswith("\n")):  # noqa: ASYNC110 - a step makes it
                    await anyio.sleep(0.01)
            yield int(file.read_text()), runner.supervisors
        finally:
            with anyio.CancelScope(shield=True), anyio.fail_after(DEADLINE):
                while await runner.signal(asked.run_id, 9):  # noqa: ASYNC110 - no runner tells of that
                    await anyio.sleep(0.01)


@pytest.mark.parametrize(
    "command",
    [
        "echo $$ > pid; exec sleep 300",
        "sh -c 'echo $$ > pid; sleep 300'",
        "env -i sh -c 'echo $$ > pid; sleep 300'; true",
        f"PHASED_ENVIRONMENT_ID={FOREIGN} sh -c 'echo $$ > pid; sleep 300'; true",
        "setsid sh -c 'echo $$ > pid; sleep 300' & sleep 300",
    ],
)
async def test_a_process_of_a_step_is_its_environments(place: Place, command: str) -> None:
    """Its children too, whatever they are started with."""
    async with asked_in(place, command) as (pid, supervisors):
        assert environment_of_step(pid, is_ours, supervisors) == OURS


async def test_an_orphan_that_hides_is_refused(place: Place) -> None:
    """It comes from one of our steps, and from which cannot be told."""
    hidden = "(env -i setsid sh -c 'echo $$ > pid; sleep 300' &)"
    async with asked_in(place, hidden) as (pid, supervisors):
        with anyio.fail_after(DEADLINE):
            while True:
                try:
                    found = environment_of_step(pid, is_ours, supervisors)
                except PermissionDenied:
                    break
                assert found == OURS  # its parent has not ended yet
                await anyio.sleep(0.01)


async def test_others_are_no_steps_of_ours(place: Place) -> None:
    """This process, one that is not there, and the steps of another daemon."""
    assert environment_of_step(os.getpid(), is_ours) is None
    assert environment_of_step(2**22 + 1, is_ours) is None
    async with asked_in(place, "echo $$ > pid; exec sleep 300", FOREIGN) as (pid, _):
        assert environment_of_step(pid, is_ours) is None
