"""`phased task`: the tasks that a daemon has, and running them there.

Knows what was asked for and how it is shown. Must not know how a task runs.
"""

from __future__ import annotations

import click

from phased.cli import finding, showing
from phased.cli.connection import Connection, connected
from phased.cli.executions import SortOrder
from phased.cli.groups import LazyGroup
from phased.cli.history_of_daemon import show_executions, show_logs
from phased.cli.options import Common, common_options, common_parameters
from phased.cli.outlet import clean
from phased.cli.words import ENDED, word
from phased.contract.execution import TaskExecution
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.contract.execution_calls import StopTaskExecutionRequest, StopTaskExecutionResponse
from phased.contract.phased_v1 import QueryTaskExecutionsRequest
from phased.contract.task import Task
from phased.contract.task_calls import GetTaskRequest, ListTasksResponse, StartTaskRequest
from phased.errors import NotFound

_INTERRUPTED = 130

task = LazyGroup(
    {
        "list": ("task:list_", "Show the tasks of an environment."),
        "get": ("task:get", "Show one task."),
        "start": ("task:start", "Run a task, wait, and exit with its outcome."),
        "stop": ("task:stop", "Stop an execution, or all of a task that run."),
        "logs": ("task:logs", "Show the output of an execution's steps."),
        "executions": ("task:executions", "Show the history of a task."),
    },
    name="task",
    short_help="Tasks of a daemon: list, get, start, stop, logs, executions.",
    help="Show the tasks that a daemon has, and run them there.",
    params=common_parameters(),
)


@click.command("list", short_help="Show the tasks of an environment.")
@common_options
def list_(common: Common) -> int:
    """Show the tasks of an environment.

    Examples:
      phased task list
      phased task list -o json
    """
    with connected(common) as daemon:
        found = finding.tasks(daemon)
        if common.output != "text":
            showing.write_message(common, ListTasksResponse.model_construct(tasks=tuple(found)))
        elif found:
            showing.write_table(list(showing.task_rows(found, _labels(daemon, found))), showing.TASK_HEAD)
        else:
            common.note("no tasks yet; `phased update` applies a file")
    return 0


def _labels(daemon: Connection, found: list[Task]) -> dict[str, str]:
    """The references of what these tasks need, by id."""
    known = {one.id: one.metadata.reference for one in found if one.metadata}
    for more in (finding.tasks, finding.services):
        if all(needed in known for one in found for needed in one.depends_on):
            break
        known |= {one.id: one.metadata.reference for one in more(daemon) if one.metadata}
    return known


@click.command("get", short_help="Show one task.")
@click.argument("which", metavar="REF")
@common_options
def get(common: Common, which: str) -> int:
    """Show the task with this reference or id.

    Examples:
      phased task get build -o yaml
    """
    with connected(common) as daemon:
        one = finding.find_task(daemon, which)
        if common.output != "text":
            answer = daemon.client.get_task(GetTaskRequest(id=one.id))
            showing.write_message(common, answer)
            return 0
        labels = _labels(daemon, [one])
        metadata, spec = one.metadata, one.spec
        showing.write_facts(
            ("id", one.id),
            ("task", metadata.reference if metadata else None),
            ("name", metadata.name if metadata else None),
            ("description", metadata.description if metadata else None),
            ("triggers", showing.triggers(metadata.triggered_by) if metadata else None),
            ("needs", ", ".join(labels.get(needed, needed) for needed in one.depends_on)),
        )
        if spec and spec.command:
            click.echo(f"\n{showing.clean_lines(spec.command)}")
    return 0


@click.command("start", short_help="Run a task, wait, and exit with its outcome.")
@click.argument("which", metavar="REF")
@click.option("--dont-wait", is_flag=True, help="Print the execution's id and return at once.")
@common_options
def start(common: Common, which: str, dont_wait: bool) -> int:
    """Start a new execution of a task in the daemon, wait for it, and exit with its outcome.

    Exits with 0 where it succeeded, 1 where it failed, 3 where it was stopped. After Ctrl-C it goes on.

    Examples:
      phased task start build
      phased task start build --dont-wait
      phased task start build -o json
    """
    with connected(common) as daemon:
        one = finding.find_task(daemon, which)
        started = daemon.client.start_task(StartTaskRequest(id=one.id)).task_execution
        if dont_wait:
            if common.output == "text":
                click.echo(started.id)
            else:
                showing.write_message(common, started)
            return 0
        return _wait(common, daemon, started)


def _wait(common: Common, daemon: Connection, started: TaskExecution) -> int:
    common.note(f"started {showing.reference_of(started)} ({started.id})")
    shown: dict[str | None, Phase | None] = {}
    execution = started
    try:
        for execution in daemon.client.follow_execution(started.id):
            _note_steps(common, execution, shown)
    except KeyboardInterrupt:
        common.note(f"it goes on; to stop it: phased task stop {started.id}")
        return _INTERRUPTED
    if common.output != "text":
        showing.write_message(common, execution)
    else:
        click.echo(showing.outcome_line(execution))
    if showing.phase_of(execution) is Phase.FAILED:
        common.note(f"its output: phased logs {execution.id}")
    return outcome(showing.phase_of(execution))


def _note_steps(common: Common, execution: TaskExecution, shown: dict[str | None, Phase | None]) -> None:
    """Each step's phase, when it changed."""
    labels = {
        step.id: step.label
        for group in (execution.spec.plan if execution.spec else ())
        for step in group.steps
    }
    for step in execution.status.steps if execution.status else ():
        if step.phase not in {shown.get(step.id), Phase.PENDING}:
            shown[step.id] = step.phase
            failure = f": {step.failure_message}" if step.failure_message else ""
            common.note(clean(f"  {labels.get(step.id)} {word(step.phase)}{failure}"))


def outcome(phase: Phase) -> int:
    """The exit code of a phase (`cli: Everywhere`)."""
    return {Phase.FAILED: 1, Phase.STOPPED: 3}.get(phase, 0)


@click.command("stop", short_help="Stop an execution, or all of a task that run.")
@click.argument("which", metavar="EXECUTION|REF")
@common_options
def stop(common: Common, which: str) -> int:
    """Ask an execution to stop, or all executions of a task that have not ended; does not wait.

    Examples:
      phased task stop build
      phased task stop 4f1c2a77
    """
    with connected(common) as daemon:
        live = _to_stop(daemon, which)
        answer = StopTaskExecutionResponse.model_construct()
        for one in live:
            answer = daemon.client.stop_task_execution(StopTaskExecutionRequest(id=one.id))
        if common.output != "text":
            showing.write_message(common, answer)
        else:
            for one in live:
                click.echo(f"stopping {showing.reference_of(one)} ({one.id})")
            if not live:
                common.note(f"nothing of {which} is running")
    return 0


def _to_stop(daemon: Connection, which: str) -> list[TaskExecution]:
    """Raises NotFound."""
    if finding.is_id(which):
        return [finding.find_execution(daemon, which)]
    if not finding.tasks(daemon, which):
        try:
            return [finding.by_beginning(daemon, which)]
        except NotFound:
            finding.find_task(daemon, which)  # says which task was likely meant
    request = QueryTaskExecutionsRequest(
        environment_ids=(daemon.environment_id,),
        references=(which,),
        phases=tuple(phase for phase in Phase if phase not in {*ENDED, Phase.UNSPECIFIED}),
    )
    return finding.query_executions(daemon, request, limit=1000)


@click.command("logs", short_help="Show the output of an execution's steps.")
@click.argument("which", metavar="EXECUTION|REF")
@click.option("--step", metavar="S", help="Only this step, as it was written: its reference or id.")
@click.option("--follow", is_flag=True, help="Go on until the execution has ended.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines of each step.")
@common_options
def logs(common: Common, which: str, step: str | None, follow: bool, tail: int | None) -> int:
    """Show what the steps of an execution wrote: of the one with this id, or the newest of the task REF.

    Examples:
      phased task logs build --follow
    """
    with connected(common) as daemon:
        show_logs(daemon, which, step=step, follow=follow, tail=tail)
    return 0


@click.command("executions", short_help="Show the history of a task.")
@click.argument("which", metavar="[REF|ID]", required=False)
@click.option(
    "--sort",
    type=SortOrder(),
    metavar="FIELD[:asc|desc]",
    default="createdAt:desc",
    show_default=True,
    help="Order of the list.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="How many at most.")
@common_options
def executions(common: Common, which: str | None, sort: tuple[str, bool], limit: int | None) -> int:
    """Show the executions of all tasks, of the task REF, or the one with this ID.

    Examples:
      phased task executions build
    """
    with connected(common) as daemon:
        return show_executions(daemon, which, sort, limit or common.settings.history.limit)
