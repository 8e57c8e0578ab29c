"""Drives gitpod-sdk 1.2, whose clients are binary.

Started as a program with the base URL, a token, an environment's id.
"""

# ruff: noqa: D103 - a check's name says what it checks; pytest is not in the environment of this program

from __future__ import annotations

import sys
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

from checks import carry_out  # type: ignore[import-not-found] # beside this script
from connectrpc.errors import ConnectError
from gitpod.v1 import (  # type: ignore[import-not-found] # installed in the environment that this runs in
    environment_automation_pb2 as automation,
)
from gitpod.v1 import (
    environment_pb2,
    event_pb2,
    gateway_pb2,
    identity_pb2,
    pagination_pb2,
    runner_configuration_pb2,
    runner_pb2,
    secret_pb2,
)
from ona_sdk import create_client  # type: ignore[import-not-found]

URL, TOKEN, ENVIRONMENT = sys.argv[1:4]
NOBODY = "0b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"

services = create_client(api_key=TOKEN, base_url=URL).services
tasks = services.environment_automation


def reference() -> str:
    """A new one."""
    return f"r-{uuid.uuid4().hex[:12]}"


def new_task(command: str = "true", **more: Any) -> Any:
    """As the daemon answers it."""
    metadata = automation.TaskMetadata(reference=reference(), name="A task")
    spec = automation.TaskSpec(command=command)
    request = automation.CreateTaskRequest(environment_id=ENVIRONMENT, metadata=metadata, spec=spec, **more)
    return tasks.create_task(request).task


def execution(execution_id: str) -> Any:
    """As it is now."""
    return tasks.get_task_execution(automation.GetTaskExecutionRequest(id=execution_id)).task_execution


def watch(act: Callable[[], str], ended: Callable[[str], bool]) -> str:
    """Do something once the stream is live, and wait until what it is about has ended."""
    events = services.event.watch_events(event_pb2.WatchEventsRequest(environment_id=ENVIRONMENT))
    next(iter(events))  # the first says that the stream is live
    resource = act()
    if not ended(resource):
        for event in events:
            if event.resource_id == resource and ended(resource):
                break
    return resource


def tasks_run_to_their_end() -> None:
    gen = new_task()
    made = new_task("echo out; exit 3", depends_on=[gen.id])
    assert list(made.depends_on) == [gen.id]
    failed = automation.TASK_EXECUTION_PHASE_FAILED

    def start() -> str:
        return str(tasks.start_task(automation.StartTaskRequest(id=made.id)).task_execution.id)

    found = watch(start, lambda one: execution(one).status.phase == failed)
    ended = execution(found)
    assert "exit code 3" in ended.status.failure_message
    assert [len(group.steps) for group in ended.spec.plan] == [1, 1]
    assert ended.metadata.created_at.seconds <= ended.metadata.completed_at.seconds
    assert ended.status.status_version > 1_700_000_000_000_000
    token = services.environment.create_environment_logs_token(
        environment_pb2.CreateEnvironmentLogsTokenRequest(environment_id=ENVIRONMENT)
    ).access_token
    request = urllib.request.Request(ended.status.log_url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.read().endswith(b"out\n")


def tasks_are_changed_and_deleted() -> None:
    made = new_task()
    prebuild = automation.AutomationTrigger(prebuild=True)
    update = automation.UpdateTaskRequest.AutomationTriggerUpdate(trigger=[prebuild])
    metadata = automation.UpdateTaskRequest.TaskMetadata(name="Renamed", triggered_by=update)
    tasks.update_task(automation.UpdateTaskRequest(id=made.id, metadata=metadata))
    found = tasks.get_task(automation.GetTaskRequest(id=made.id)).task
    assert found.metadata.name == "Renamed"
    assert found.metadata.triggered_by[0].prebuild
    tasks.delete_task(automation.DeleteTaskRequest(id=made.id))
    assert code_of(lambda: tasks.get_task(automation.GetTaskRequest(id=made.id))) == "not_found"


def executions_are_listed_and_stopped() -> None:
    made = new_task("exec sleep 1000")
    stopped = automation.TASK_EXECUTION_PHASE_STOPPED

    def start_and_stop() -> str:
        found = str(tasks.start_task(automation.StartTaskRequest(id=made.id)).task_execution.id)
        tasks.stop_task_execution(automation.StopTaskExecutionRequest(id=found))
        return found

    found = watch(start_and_stop, lambda one: execution(one).status.phase == stopped)
    wanted = automation.ListTaskExecutionsRequest.Filter(task_ids=[made.id])
    listed = tasks.list_task_executions(automation.ListTaskExecutionsRequest(filter=wanted)).task_executions
    assert [one.id for one in listed] == [found]


def services_start_and_stop() -> None:
    metadata = automation.ServiceMetadata(reference=reference(), name="Serves")
    spec = automation.ServiceSpec(commands=automation.ServiceSpec.Commands(start="exec sleep 1000"))
    request = automation.CreateServiceRequest(environment_id=ENVIRONMENT, metadata=metadata, spec=spec)
    made = tasks.create_service(request).service

    def phase() -> Any:
        return tasks.get_service(automation.GetServiceRequest(id=made.id)).service.status.phase

    def act(name: str) -> str:
        if name == "start":
            tasks.start_service(automation.StartServiceRequest(id=made.id))
        else:
            tasks.stop_service(automation.StopServiceRequest(id=made.id))
        return str(made.id)

    watch(lambda: act("start"), lambda _: phase() == automation.SERVICE_PHASE_RUNNING)
    watch(lambda: act("stop"), lambda _: phase() == automation.SERVICE_PHASE_STOPPED)
    tasks.delete_service(automation.DeleteServiceRequest(id=made.id))


def a_file_is_applied() -> None:
    name = reference()
    task = automation.AutomationsFile.Task(name="From a file", command="true", triggered_by=["manual"])
    file = automation.AutomationsFile(tasks={name: task})
    request = automation.UpsertAutomationsFileRequest(environment_id=ENVIRONMENT, automations_file=file)
    assert len(tasks.upsert_automations_file(request).updated_task_ids) == 1


def lists_go_over_all_pages() -> None:
    made = {new_task().id for _ in range(5)}
    found: list[str] = []
    token = ""
    while True:
        page = pagination_pb2.PaginationRequest(page_size=2, token=token)
        answer = tasks.list_tasks(automation.ListTasksRequest(pagination=page))
        found += [one.id for one in answer.tasks]
        token = answer.pagination.next_token
        if not token:
            break
    assert made <= set(found)
    assert len(found) == len(set(found))


def environments_have_their_life() -> None:
    environments = services.environment
    classes = environments.list_environment_classes(runner_configuration_pb2.ListEnvironmentClassesRequest())
    assert classes.environment_classes
    created = environments.create_environment(environment_pb2.CreateEnvironmentRequest(name="by a client"))
    made = created.environment
    request = environment_pb2.GetEnvironmentRequest(environment_id=made.id)
    assert environments.get_environment(request).environment.metadata.name == "by a client"
    listed = environments.list_environments(environment_pb2.ListEnvironmentsRequest()).environments
    assert {made.id, ENVIRONMENT} <= {one.id for one in listed}
    environments.delete_environment(environment_pb2.DeleteEnvironmentRequest(environment_id=made.id))


def secrets_have_every_method() -> None:
    name = f"S_{uuid.uuid4().hex[:8]}"
    request = secret_pb2.CreateSecretRequest(
        name=name, value="first value", project_id=ENVIRONMENT, environment_variable=True
    )
    made = services.secret.create_secret(request).secret
    services.secret.update_secret_value(
        secret_pb2.UpdateSecretValueRequest(secret_id=made.id, value="second value")
    )
    value = services.secret.get_secret_value(secret_pb2.GetSecretValueRequest(secret_id=made.id)).value
    assert value == "second value"
    wanted = secret_pb2.ListSecretsRequest.Filter(project_ids=[ENVIRONMENT])
    listed = services.secret.list_secrets(secret_pb2.ListSecretsRequest(filter=wanted)).secrets
    assert made.id in {one.id for one in listed}
    services.secret.delete_secret(secret_pb2.DeleteSecretRequest(secret_id=made.id))


def identity_gateways_and_runners() -> None:
    who = services.identity.get_authenticated_identity(identity_pb2.GetAuthenticatedIdentityRequest())
    assert who.subject.principal == identity_pb2.PRINCIPAL_USER
    assert services.gateway.list_gateways(gateway_pb2.ListGatewaysRequest()).gateways
    (runner,) = services.runner.list_runners(runner_pb2.ListRunnersRequest()).runners
    found = services.runner.get_runner(runner_pb2.GetRunnerRequest(runner_id=runner.runner_id)).runner
    assert found.runner_id == runner.runner_id


def code_of(act: Callable[[], Any]) -> str:
    """The code of the error that this raises."""
    try:
        act()
    except ConnectError as error:
        return str(error.code.value)
    return "ok"


def errors_have_their_codes() -> None:
    assert code_of(lambda: tasks.get_task(automation.GetTaskRequest(id=NOBODY))) == "not_found"
    assert code_of(lambda: tasks.get_task(automation.GetTaskRequest(id="no id"))) == "invalid_argument"
    made = new_task()
    metadata = automation.TaskMetadata(reference=made.metadata.reference)
    taken = automation.CreateTaskRequest(environment_id=ENVIRONMENT, metadata=metadata)
    assert code_of(lambda: tasks.create_task(taken)) == "already_exists"
    new_task(depends_on=[made.id])
    delete = automation.DeleteTaskRequest(id=made.id)
    assert code_of(lambda: tasks.delete_task(delete)) == "failed_precondition"
    stranger = create_client(api_key="wrong", base_url=URL).services
    request = identity_pb2.GetAuthenticatedIdentityRequest()
    assert code_of(lambda: stranger.identity.get_authenticated_identity(request)) == "unauthenticated"
    watched = event_pb2.WatchEventsRequest(environment_id=NOBODY)
    assert code_of(lambda: next(iter(services.event.watch_events(watched)))) == "not_found"


CHECKS = {
    check.__name__: check
    for check in (
        tasks_run_to_their_end,
        tasks_are_changed_and_deleted,
        executions_are_listed_and_stopped,
        services_start_and_stop,
        a_file_is_applied,
        lists_go_over_all_pages,
        environments_have_their_life,
        secrets_have_every_method,
        identity_gateways_and_runners,
        errors_have_their_codes,
    )
}

if __name__ == "__main__":
    carry_out(CHECKS)
