"""Environments: made, filled, started, stopped, deleted, and what a restart of the daemon finds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from phased.contract.base import from_json
from phased.contract.definitions import Definitions
from phased.contract.environment_calls import CreateEnvironmentRequest
from phased.contract.environment_phase import EnvironmentPhase as Phase
from phased.contract.environment_status import EnvironmentActivitySignal
from phased.contract.environment_update import UpdateEnvironmentRequest
from phased.contract.event import ResourceOperation as Operation
from phased.contract.execution import TaskExecutionPhase
from phased.contract.resource import ResourceType
from phased.contract.service import ServicePhase
from phased.core.environment import EnvironmentRecord, ExecutionQuery
from phased.core.specs import environment_id
from phased.engine.environments.workers import Start
from phased.engine.paging import PageRequest
from phased.errors import (
    FailedPrecondition,
    InvalidArgument,
    InvalidFile,
    NotFound,
    StoreFull,
    Unsupported,
)
from phased.loader.report import Diagnostic
from phased.store.memory import MemoryStore
from phased.store.memory_definitions import MemoryDefinitions
from phased.testing.fake_clock import FakeClock
from phased.testing.fake_runner import Outcome
from tests.engine.domain import ORIGIN, bench, definitions, service, task
from tests.engine.services.bench import PATIENCE, folder, until

pytestmark = pytest.mark.anyio
NOBODY = "5b6f8e0c-55a4-4f3b-9d7e-0a4d7c5f1a0f"


def request(**fields: object) -> CreateEnvironmentRequest:
    """What is asked for."""
    return from_json(CreateEnvironmentRequest, fields)


def cloned(path: Path, **git: object) -> CreateEnvironmentRequest:
    """An environment with this repository."""
    initializer = {"specs": [{"git": {"remoteUri": str(path), **git}}]}
    return request(spec={"content": {"initializer": initializer}})


# ---- the one that a user gave ----------------------------------------------------------------------


async def test_the_directory_of_a_user_is_an_environment_at_work(tmp_path: Path) -> None:
    """With the id that its path has everywhere; its name is the directory's."""
    async with bench(tmp_path) as b:
        assert b.own.id == environment_id(str(tmp_path / "w"))
        assert (b.own.name, b.own.scratch, b.own.phase) == ("w", False, Phase.RUNNING)
        again = await b.domain.environments.adopt(tmp_path / "w", ORIGIN)
        assert again == b.own


async def test_it_is_never_deleted(tmp_path: Path) -> None:
    """Not even by force, and nothing of it is touched."""
    async with bench(tmp_path) as b:
        (tmp_path / "w" / "precious").write_text("data")
        with pytest.raises(FailedPrecondition, match="is not the daemon's to remove"):
            await b.domain.environments.delete(b.own.id, force=True)
        assert b.domain.environments.record(b.own.id).phase is Phase.RUNNING
        assert (tmp_path / "w" / "precious").read_text() == "data"


async def test_its_file_is_defined_when_it_is_new_and_fires_nothing(tmp_path: Path) -> None:
    """Not again at the next start of the daemon: what was changed since stays."""
    started: list[Start] = []

    async def on_start(_: EnvironmentRecord, start: Start) -> None:
        started.append(start)

    def read(workspace: Path, path: str) -> tuple[str, Definitions] | None:
        assert (workspace, path) == (tmp_path / "w", "")
        return ".ona/automations.yaml", definitions(task("build"), service("db"))

    async with bench(tmp_path, read_file=read, on_start=on_start) as b:
        assert list(b.domain.automations.catalog(b.own.id).needs) == ["build", "db"]
        assert b.domain.environments.record(b.own.id).automations_file == ".ona/automations.yaml"
        await b.domain.automations.delete_task(b.domain.automations.tasks()[0].id)
    async with bench(tmp_path, read_file=read, on_start=on_start) as b:
        assert list(b.domain.automations.catalog(b.own.id).needs) == ["db"]
    assert started == []


async def test_a_file_that_cannot_be_used_is_told_with_its_places(tmp_path: Path) -> None:
    """The environment is at work all the same."""

    def read(_: Path, __: str) -> tuple[str, Definitions] | None:
        raise InvalidFile("automations.yaml", [Diagnostic("error", 3, 7, "tasks.a", "bad", "", "x")])

    async with bench(tmp_path, read_file=read) as b:
        record = b.domain.environments.record(b.own.id)
        assert record.phase is Phase.RUNNING
        assert record.automations_failure == "cannot use automations.yaml: it has 1 error(s); 3:7: bad"


# ---- making ----------------------------------------------------------------------------------------


async def test_a_new_environment_has_an_empty_workspace_of_its_own(tmp_path: Path) -> None:
    """It is there at once, and at work soon after."""
    async with bench(tmp_path) as b:
        made = await b.domain.environments.create(request(name="try", annotations={"a": "b"}), ORIGIN)
        assert made.phase is Phase.CREATING
        record = await b.reach(made.id, Phase.RUNNING)
        workspace = Path(record.workspace)
        assert workspace == tmp_path / "s" / "workspaces" / made.id
        assert os.listdir(workspace) == []
        assert os.stat(workspace).st_mode & 0o777 == 0o700
        assert (record.name, record.scratch, record.annotations) == ("try", True, {"a": "b"})
        assert record.creator_id == ORIGIN.creator_id
        assert [one.id for one in b.domain.environments.all()] == [b.own.id, made.id]
        assert await b.store.definitions.list_environments() == b.domain.environments.all()


async def test_its_class_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    """By id or as `local`; without a word the preferred one."""
    async with bench(tmp_path) as b:
        local = b.domain.environments.classes.local_id
        for spec in ({}, {"machine": {"class": "local"}}, {"machine": {"class": local}}):
            made = await b.create(request(spec=spec))
            assert made.spec.machine is not None
            assert made.spec.machine.class_ == local
        with pytest.raises(InvalidArgument, match=r"spec\.machine\.class 'huge'"):
            await b.domain.environments.create(request(spec={"machine": {"class": "huge"}}), ORIGIN)


@pytest.mark.parametrize("first", [True, False])
async def test_starts_say_which_they_are(tmp_path: Path, first: bool) -> None:
    """The first one, a later one, and one after the machine has booted."""
    started: list[tuple[str, Start]] = []

    async def on_start(record: EnvironmentRecord, start: Start) -> None:
        assert record.phase is Phase.STARTING
        started.append((record.id, start))

    clock, store = FakeClock(), MemoryStore()
    async with bench(tmp_path, store=store, clock=clock, on_start=on_start) as b:
        made = await b.create()
        assert started == [(made.id, Start(first=True, booted=True))]
        assert b.domain.environments.record(made.id).last_started_at == clock.wall()
        await b.domain.environments.stop(made.id)
        await b.reach(made.id, Phase.STOPPED)
        if first:
            await b.domain.environments.start(made.id)
            await b.reach(made.id, Phase.RUNNING)
            assert started[1:] == [(made.id, Start(first=False, booted=False))]
            return
    clock.reboot("boot-2")
    async with bench(tmp_path, store=store, clock=clock, on_start=on_start) as b:
        assert len(started) == 1
        await b.domain.environments.start(made.id)
        await b.reach(made.id, Phase.RUNNING)
        assert started[1:] == [(made.id, Start(first=False, booted=True))]


async def test_what_a_start_cannot_fire_is_a_warning(tmp_path: Path) -> None:
    """The environment is at work all the same; the next start begins anew."""
    errors = [Unsupported("cannot fire it: no")]

    async def on_start(_: EnvironmentRecord, __: Start) -> None:
        if errors:
            raise errors.pop()

    async with bench(tmp_path, on_start=on_start) as b:
        made = await b.create()
        assert (made.phase, made.warnings) == (Phase.RUNNING, ("cannot fire it: no",))
        await b.domain.environments.stop(made.id)
        await b.reach(made.id, Phase.STOPPED)
        await b.domain.environments.start(made.id)
        assert (await b.reach(made.id, Phase.RUNNING)).warnings == ()


async def test_a_start_can_start_tasks(tmp_path: Path) -> None:
    """While it is under way: triggers do."""
    async with bench(tmp_path, read_file=lambda *_: ("f", definitions(task("build")))) as b:

        async def on_start(record: EnvironmentRecord, _: Start) -> None:
            await b.domain.executions.fire(
                record.id, ["build"], replace(ORIGIN, started_by="postMachineStart")
            )

        b.domain.environments.on_start = on_start
        made = await b.create()
        page = await b.domain.executions.page(ExecutionQuery((made.id,)), PageRequest())
        assert [one.record.started_by for one in page.entries] == ["postMachineStart"]


# ---- starting things in it, stopping it ------------------------------------------------------------


async def test_nothing_is_started_where_it_is_not_at_work(tmp_path: Path) -> None:
    """Stopping and stopped; then started again it is."""
    async with bench(tmp_path) as b:
        b.fakes[0].outcomes["true"] = Outcome(holds=True)
        made = await b.domain.automations.create_task(b.own.id, task("build"), ORIGIN)
        running = await b.domain.executions.start(made.id, ORIGIN)
        await b.domain.environments.stop(b.own.id)
        with pytest.raises(FailedPrecondition, match="start it first"):
            await b.domain.executions.start(made.id, ORIGIN)
        await b.reach(b.own.id, Phase.STOPPED)
        stored = await b.domain.executions.get(running.record.id)
        assert stored.status.phase is TaskExecutionPhase.STOPPED
        with pytest.raises(FailedPrecondition, match="it is STOPPED"):
            await b.domain.executions.start(made.id, ORIGIN)
        await b.domain.environments.start(b.own.id)
        await b.reach(b.own.id, Phase.RUNNING)
        await b.domain.executions.start(made.id, ORIGIN)


async def test_stopping_ends_what_is_its_own_and_nothing_else(tmp_path: Path) -> None:
    """Executions and services."""
    async with bench(tmp_path) as b:
        b.fakes[0].outcomes |= {"true": Outcome(holds=True), "sleep 1000": Outcome(holds=True)}
        other = await b.create()
        for environment in (b.own.id, other.id):
            await b.domain.automations.apply(environment, definitions(task("build"), service("db")), ORIGIN)
            await b.domain.executions.fire(environment, ["build"], ORIGIN)
        services = b.domain.engine.services
        for live in services.all():
            services.start(live, "a test")
        await until(lambda: all(live.phase is ServicePhase.RUNNING for live in services.all()), "all run")
        await b.domain.environments.stop(other.id)
        await b.reach(other.id, Phase.STOPPED)
        assert [live.record.environment_id for live in b.domain.engine.lives] == [b.own.id]
        assert [live.phase for live in services.of(other.id)] == [ServicePhase.STOPPED]
        assert [live.phase for live in services.of(b.own.id)] == [ServicePhase.RUNNING]


async def test_stopping_and_starting_again_are_no_errors(tmp_path: Path) -> None:
    """Whatever it is about to do; the last word counts."""
    async with bench(tmp_path) as b:
        known = b.domain.environments
        await known.start(b.own.id)
        await known.stop(b.own.id)
        await known.stop(b.own.id)
        await known.start(b.own.id)
        await b.reach(b.own.id, Phase.RUNNING)
        await known.stop(b.own.id)
        await b.reach(b.own.id, Phase.STOPPED)
        await known.stop(b.own.id)
        assert known.record(b.own.id).phase is Phase.STOPPED


async def test_what_is_unknown_is_not_found(tmp_path: Path) -> None:
    """Whatever is asked."""
    async with bench(tmp_path) as b:
        known = b.domain.environments
        update = from_json(UpdateEnvironmentRequest, {"environmentId": NOBODY})
        for call in (
            known.start(NOBODY), known.stop(NOBODY), known.delete(NOBODY), known.update(update),
            known.mark_active(NOBODY, None), known.until(NOBODY, lambda _: True),
        ):  # fmt: skip
            with pytest.raises(NotFound, match=r"^cannot find an environment"):
                await call
        with pytest.raises(NotFound):
            known.workspace_of("../../etc")


# ---- deleting --------------------------------------------------------------------------------------


async def test_deleting_removes_all_of_it(tmp_path: Path) -> None:
    """Workspace, logs, tasks, services, history; a link in it is not followed."""
    async with bench(tmp_path) as b:
        b.fakes[0].outcomes["sleep 1000"] = Outcome(holds=True)
        made = await b.create()
        await b.domain.automations.apply(made.id, definitions(task("build"), service("db")), ORIGIN)
        (started,) = await b.domain.executions.fire(made.id, ["build"], ORIGIN)
        live = b.domain.engine.services.of(made.id)[0]
        b.domain.engine.services.start(live, "a test")
        await until(lambda: live.phase is ServicePhase.RUNNING, "the service runs")
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "precious").write_text("data")
        workspace = Path(made.workspace)
        (workspace / "link").symlink_to(outside)
        (workspace / "locked").mkdir()
        (workspace / "locked" / "file").write_text("x")
        (workspace / "locked").chmod(0o500)
        logs = [tmp_path / "s" / "runs" / one for one in (started.record.id, live.id)]
        assert all(path.is_dir() for path in logs)
        with b.domain.changes.subscribe() as subscription:
            await b.domain.environments.delete(made.id)
            await b.gone(made.id)
            await until(lambda: not any(path.exists() for path in logs), "the logs are removed")
            told = {(one.resource_type, one.operation) for one in subscription.take()}
        assert (ResourceType.ENVIRONMENT, Operation.DELETE) in told
        assert (ResourceType.SERVICE, Operation.DELETE) in told
        assert (ResourceType.TASK, Operation.DELETE) in told
        assert made.id not in os.listdir(tmp_path / "s" / "workspaces")
        assert (outside / "precious").read_text() == "data"
        assert [one.id for one in await b.store.definitions.list_environments()] == [b.own.id]
        assert await b.store.list() == []
        assert await b.store.list_services() == []
        with pytest.raises(NotFound):
            await b.domain.executions.get(started.record.id)


async def test_an_environment_that_is_being_deleted_is_not_started(tmp_path: Path) -> None:
    """Deleting it twice is no error; by force it goes at once."""
    async with bench(tmp_path) as b:
        b.fakes[0].outcomes["true"] = Outcome(holds=True, ignores_term=True)
        made = await b.create()
        await b.domain.automations.apply(made.id, definitions(task("build")), ORIGIN)
        await b.domain.executions.fire(made.id, ["build"], ORIGIN)
        await b.domain.environments.delete(made.id)
        await b.reach(made.id, Phase.DELETING)
        for call in (b.domain.environments.start(made.id), b.domain.environments.stop(made.id)):
            with pytest.raises(FailedPrecondition, match="is being deleted"):
                await call
        await b.domain.environments.delete(made.id)
        assert made.id in {one.id for one in b.domain.environments.all()}
        await b.domain.environments.delete(made.id, force=True)
        await b.gone(made.id)


async def test_a_deletion_that_was_cut_short_is_finished_by_the_next_daemon(tmp_path: Path) -> None:
    """As is everything else between two phases."""
    store = MemoryStore()
    async with bench(tmp_path, store=store) as b:
        ids = {phase: (await b.create()).id for phase in (Phase.DELETED, Phase.STOPPED, Phase.RUNNING)}
        creating = (await b.create()).id
    between = {Phase.DELETED: Phase.DELETING, Phase.STOPPED: Phase.STOPPING, Phase.RUNNING: Phase.STARTING}
    records = {one.id: one for one in await store.definitions.list_environments()}
    await store.definitions.save_environments(
        [replace(records[ids[end]], phase=phase, desired=end) for end, phase in between.items()]
        + [replace(records[creating], phase=Phase.CREATING, has_content=False)]
    )
    os.makedirs(f"{records[creating].workspace}.part-0/of/a/clone")
    async with bench(tmp_path, store=store) as b:
        await b.gone(ids[Phase.DELETED])
        await b.reach(ids[Phase.STOPPED], Phase.STOPPED)
        await b.reach(ids[Phase.RUNNING], Phase.RUNNING)
        await b.reach(creating, Phase.RUNNING)
        left = {ids[Phase.STOPPED], ids[Phase.RUNNING], creating}
        assert set(os.listdir(tmp_path / "s" / "workspaces")) == left


async def test_after_a_reboot_what_was_at_work_is_started_again(tmp_path: Path) -> None:
    """Not after a mere restart of the daemon."""
    started: list[str] = []

    async def on_start(record: EnvironmentRecord, _: Start) -> None:
        started.append(record.id)

    clock, store = FakeClock(), MemoryStore()
    async with bench(tmp_path, store=store, clock=clock, on_start=on_start) as b:
        made = await b.create()
    async with bench(tmp_path, store=store, clock=clock, on_start=on_start) as b:
        await b.reach(made.id, Phase.RUNNING)
    assert started == [made.id]
    clock.reboot("boot-2")
    async with bench(tmp_path, store=store, clock=clock, on_start=on_start) as b:
        await until(lambda: len(started) > 1, "it is started again")
        await b.reach(made.id, Phase.RUNNING)
    assert started == [made.id] * 2


class Full(MemoryDefinitions):
    """A store whose disk can be full."""

    full = False

    async def save_environments(self, records: Sequence[EnvironmentRecord]) -> None:
        if self.full:
            raise StoreFull("cannot write the state: no room; make some")
        await super().save_environments(records)


class FullStore(MemoryStore):
    """One whose environments cannot always be saved."""

    def __init__(self) -> None:
        super().__init__()
        self.environments = Full(self)

    @property
    def definitions(self) -> MemoryDefinitions:
        return self.environments


async def test_a_full_disk_delays_a_phase_and_loses_none(tmp_path: Path) -> None:
    """What is asked for meanwhile is refused; what was asked for before is done once there is room."""
    store = FullStore()
    entered, go = anyio.Event(), anyio.Event()

    async def on_start(_: EnvironmentRecord, __: Start) -> None:
        entered.set()
        await go.wait()

    async with bench(tmp_path, store=store, on_start=on_start) as b:
        made = await b.domain.environments.create(request(), ORIGIN)
        with anyio.fail_after(PATIENCE):
            await entered.wait()
        store.environments.full = True
        go.set()
        with pytest.raises(StoreFull):
            await b.domain.environments.stop(made.id)
        assert b.domain.environments.record(made.id).phase is Phase.STARTING
        assert b.domain.environments.record(made.id).desired is Phase.RUNNING
        store.environments.full = False
        await b.reach(made.id, Phase.RUNNING)
        assert (await store.definitions.list_environments())[-1] == b.domain.environments.record(made.id)


# ---- changing --------------------------------------------------------------------------------------


async def test_an_update_changes_what_it_says_alone(tmp_path: Path) -> None:
    """And makes the spec newer."""
    async with bench(tmp_path) as b:
        made = await b.create(request(spec={"timeout": {"disconnected": "1800s"}}))
        update = from_json(
            UpdateEnvironmentRequest,
            {
                "environmentId": made.id,
                "metadata": {"name": "new"},
                "spec": {
                    "content": {"gitEmail": "a@b"},
                    "automationsFile": {"automationsFilePath": "x.yaml"},
                },
            },
        )
        after = await b.domain.environments.update(update)
        assert after.name == "new"
        assert after.spec.content is not None
        assert after.spec.content.git_email == "a@b"
        assert after.spec.automations_file is not None
        assert after.spec.automations_file.automations_file_path == "x.yaml"
        assert after.spec.timeout == made.spec.timeout
        assert after.spec_version > made.spec_version
        nothing = from_json(UpdateEnvironmentRequest, {"environmentId": made.id})
        assert await b.domain.environments.update(nothing) == after


async def test_activity_is_kept_and_never_in_the_future(tmp_path: Path) -> None:
    """With who said so."""
    async with bench(tmp_path) as b:
        signal = from_json(
            EnvironmentActivitySignal, {"source": "an editor", "timestamp": "2100-01-01T00:00:00Z"}
        )
        await b.domain.environments.mark_active(b.own.id, signal)
        record = b.domain.environments.record(b.own.id)
        assert (record.active_source, record.active_at) == ("an editor", b.fakes[1].wall())


async def test_every_phase_is_told(tmp_path: Path) -> None:
    """With the environment's id as the resource and as where it belongs."""
    async with bench(tmp_path) as b:
        begin = b.domain.stream.sequence
        made = await b.create()
        await b.domain.environments.stop(made.id)
        await b.reach(made.id, Phase.STOPPED)
        mine = [one for one in b.domain.stream.read(begin).events if one.resource_id == made.id]
        assert mine[0].operation is Operation.CREATE
        assert {one.environment_id for one in mine} == {made.id}
        versions = [one.version for one in mine]
        assert versions == sorted(set(versions))
        assert versions[-1] == b.domain.environments.record(made.id).status_version


# ---- with real processes ---------------------------------------------------------------------------


def alive(pids: Sequence[int]) -> list[int]:
    """Those that still live, zombies aside."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found.append(pid)
    return found


async def pids_in(file: Path, number: int) -> list[int]:
    """The pids that a command wrote."""
    await until(
        lambda: file.exists() and len(file.read_text().split()) >= number, f"{file} has {number} pids"
    )
    return numbers(file)


def numbers(file: Path) -> list[int]:
    """All of them."""
    return [int(word) for word in file.read_text().split()]


async def test_a_stopped_environment_has_no_process_left() -> None:
    """Of running steps, of services, and of commands that ended and left something behind."""
    async with folder() as path, bench(path, real=True, stop_timeout=1.0) as b:
        file = definitions(
            task("leaves", command="setsid sleep 1000 >/dev/null 2>&1 & echo $! >>pids"),
            task("runs", command="echo $$ >>pids; trap '' TERM; while :; do sleep 1; done"),
            service("db", start="echo $$ >>pids; exec sleep 1000"),
        )
        made = await b.create()
        workspace = Path(made.workspace)
        await b.domain.automations.apply(made.id, file, ORIGIN)
        (leaves,) = await b.domain.executions.fire(made.id, ["leaves"], ORIGIN)
        await b.end(leaves.record.id)
        left = await pids_in(workspace / "pids", 1)
        assert alive(left) == left
        await b.domain.executions.fire(made.id, ["runs"], ORIGIN)
        for live in b.domain.engine.services.of(made.id):
            b.domain.engine.services.start(live, "a test")
        pids = await pids_in(workspace / "pids", 3)
        assert alive(pids) == pids
        await b.domain.environments.stop(made.id)
        await b.reach(made.id, Phase.STOPPED)
        assert alive(pids) == []
        stored = await b.domain.executions.get(leaves.record.id)
        assert stored.status.phase is TaskExecutionPhase.SUCCEEDED


async def test_commands_run_in_the_workspace_and_know_their_environment() -> None:
    """Each in its own, with its own variables."""
    async with folder() as path, bench(path, real=True) as b:
        b.domain.engine.variables_of = lambda environment: {"WHERE": environment[:8], "SAID": "by all"}
        file = definitions(
            task(
                "say",
                command='echo "$PWD $GITPOD_ENVIRONMENT_ID $WHERE $SAID" >said',
                env=[{"name": "SAID", "value": "by the task"}],
            )
        )
        made = await b.create()
        for record in (b.own, made):
            await b.domain.automations.apply(record.id, file, ORIGIN)
            (one,) = await b.domain.executions.fire(record.id, ["say"], ORIGIN)
            await b.end(one.record.id)
            said = (Path(record.workspace) / "said").read_text().split(maxsplit=3)
            assert said[0] == record.workspace
            assert said[1:] == [record.id, record.id[:8], "by the task\n"]
