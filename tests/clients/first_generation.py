"""Drives gitpod-sdk 0.11 against a daemon.

Started as a program with the base URL, a token, an environment's id.
"""

# ruff: noqa: D103, PT017 - a check's name says what it checks; pytest is not in the environment of this program

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gitpod  # type: ignore[import-not-found] # installed in the environment that this runs in
import httpx
from checks import carry_out  # type: ignore[import-not-found] # beside this script
from gitpod import AsyncGitpod, Gitpod
from gitpod.lib import (  # type: ignore[import-not-found]
    find_most_used_environment_class,
    run_command,
    run_service,
    wait_for_environment_running,
)

URL, TOKEN, ENVIRONMENT = sys.argv[1:4]
NOBODY = "0b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"


@contextmanager
def connected() -> Iterator[Any]:
    """A client, as its documentation has it."""
    with Gitpod(base_url=URL, bearer_token=TOKEN) as client:
        yield client


@contextmanager
def watching(client: Any, **scope: Any) -> Iterator[Any]:
    """Its events, until the context is left."""
    events = client.events.watch(timeout=None, **scope)
    try:
        yield events
    finally:
        events.http_response.close()


def reference() -> str:
    """A new one."""
    return f"r-{uuid.uuid4().hex[:12]}"


def new_task(client: Any, command: str = "true") -> str:
    """Its id."""
    tasks = client.environments.automations.tasks
    metadata = {"reference": reference(), "name": "A task"}
    return str(tasks.create(environment_id=ENVIRONMENT, metadata=metadata, spec={"command": command}).task.id)


def until_ended(client: Any, execution_id: str) -> Any:
    """By its events, as clients do."""
    executions = client.environments.automations.tasks.executions

    def ended() -> Any:
        found = executions.retrieve(id=execution_id).task_execution
        phase = found.status.phase.removeprefix("TASK_EXECUTION_PHASE_")
        return found if phase in {"SUCCEEDED", "FAILED", "STOPPED"} else None

    with watching(client, environment_id=ENVIRONMENT) as events:
        if (found := ended()) is not None:
            return found
        for event in events:
            if event.resource_id == execution_id and (found := ended()) is not None:
                return found
    raise AssertionError("the stream ended")


async def run_command_yields_lines() -> None:
    async with AsyncGitpod(base_url=URL, bearer_token=TOKEN) as client:
        for word in ("one", "two"):
            lines = await run_command(client, ENVIRONMENT, f"echo {word}; sleep 0.3; echo end")
            assert [line async for line in lines] == [word, "end"]


async def run_command_runs_several_at_once() -> None:
    async with AsyncGitpod(base_url=URL, bearer_token=TOKEN) as client:

        async def run(command: str) -> list[str]:
            return [line async for line in await run_command(client, ENVIRONMENT, command)]

        await run("true")
        first, second = await asyncio.gather(run("sleep 0.5; echo a"), run("sleep 0.5; echo a"))
        assert first == second == ["a"]


async def run_service_yields_lines() -> None:
    async with AsyncGitpod(base_url=URL, bearer_token=TOKEN) as client:
        name = reference()
        spec = {"commands": {"start": "echo serving; exec sleep 1000"}}
        lines = await run_service(client, ENVIRONMENT, {"reference": name, "name": "A service"}, spec)
        assert await anext(lines) == "serving"
        services = client.environments.automations.services
        (found,) = (
            await services.list(filter={"references": [name], "environment_ids": [ENVIRONMENT]})
        ).services
        await services.stop(id=found.id)
        assert [line async for line in lines] == []


async def environments_run_and_have_a_class() -> None:
    async with AsyncGitpod(base_url=URL, bearer_token=TOKEN) as client:
        made = await client.environments.create(spec={"desired_phase": "ENVIRONMENT_PHASE_RUNNING"})
        await wait_for_environment_running(client, made.environment.id)
        most_used = await find_most_used_environment_class(client)
        assert most_used is not None
        assert made.environment.spec.machine.class_ == most_used.id
        await client.environments.delete(environment_id=made.environment.id)


def environments_have_every_method() -> None:
    with connected() as client:
        environments = client.environments
        class_id = next(iter(environments.classes.list())).id
        made = environments.create(spec={"machine": {"class": class_id}}, name="by a client").environment
        environments.update(environment_id=made.id, metadata={"name": "renamed"})
        assert environments.retrieve(environment_id=made.id).environment.metadata.name == "renamed"
        assert made.id in {one.id for one in environments.list()}
        environments.mark_active(environment_id=made.id)
        environments.stop(environment_id=made.id)
        environments.start(environment_id=made.id)
        assert environments.create_logs_token(environment_id=made.id).access_token
        assert environments.create_environment_token(environment_id=made.id).access_token
        environments.delete(environment_id=made.id)


def tasks_have_every_method() -> None:
    with connected() as client:
        tasks = client.environments.automations.tasks
        gen = new_task(client)
        metadata = {"reference": reference(), "name": "Builds", "triggered_by": [{"manual": True}]}
        made = tasks.create(
            environment_id=ENVIRONMENT, metadata=metadata, spec={"command": "true"}, depends_on=[gen]
        ).task
        assert made.depends_on == [gen]
        tasks.update(
            id=made.id,
            metadata={"name": "Fails", "triggered_by": {"trigger": [{"prebuild": True}]}},
            spec={"command": "exit 3"},
        )
        found = tasks.retrieve(id=made.id).task
        assert (found.metadata.name, found.spec.command) == ("Fails", "exit 3")
        assert found.metadata.triggered_by[0].prebuild
        started = tasks.start(id=made.id).task_execution
        ended = until_ended(client, started.id)
        assert ended.status.phase == "TASK_EXECUTION_PHASE_FAILED"
        assert "exit code 3" in ended.status.failure_message
        assert [len(group.steps) for group in ended.spec.plan] == [1, 1]
        tasks.delete(id=made.id)
        tasks.delete(id=gen)


def executions_are_listed_and_stopped() -> None:
    with connected() as client:
        tasks = client.environments.automations.tasks
        task = new_task(client, "exec sleep 1000")
        started = tasks.start(id=task).task_execution
        tasks.executions.stop(id=started.id)
        assert until_ended(client, started.id).status.phase == "TASK_EXECUTION_PHASE_STOPPED"
        listed = [one.id for one in tasks.executions.list(filter={"task_ids": [task]})]
        assert listed == [started.id]


def services_have_every_method() -> None:
    with connected() as client:
        services = client.environments.automations.services
        metadata = {"reference": reference(), "name": "Serves"}
        spec = {"commands": {"start": "exec sleep 1000", "ready": "true"}}
        made = services.create(environment_id=ENVIRONMENT, metadata=metadata, spec=spec).service
        services.update(id=made.id, metadata={"name": "Renamed"})
        assert services.retrieve(id=made.id).service.metadata.name == "Renamed"
        with watching(client, environment_id=ENVIRONMENT) as events:
            services.start(id=made.id)
            for event in events:
                phase = services.retrieve(id=made.id).service.status.phase
                if event.resource_id == made.id and phase == "SERVICE_PHASE_RUNNING":
                    break
        assert made.id in {one.id for one in services.list(filter={"environment_ids": [ENVIRONMENT]})}
        services.stop(id=made.id)
        services.delete(id=made.id, force=True)


def a_file_is_applied() -> None:
    with connected() as client:
        name = reference()
        file = {
            "tasks": {
                name: {"name": "From a file", "command": "true", "triggered_by": ["postEnvironmentStart"]}
            },
            "services": {f"{name}-s": {"name": "Serves", "commands": {"start": "sleep 1000"}}},
        }
        automations = client.environments.automations
        first = automations.upsert(environment_id=ENVIRONMENT, automations_file=file)
        second = automations.upsert(environment_id=ENVIRONMENT, automations_file=file)
        assert first.updated_task_ids
        assert first.updated_service_ids
        (found,) = automations.tasks.list(filter={"references": [name]}).tasks
        assert found.id in first.updated_task_ids
        assert set(second.updated_task_ids or ()) <= set(first.updated_task_ids)


def lists_go_over_all_pages() -> None:
    with connected() as client:
        tasks = client.environments.automations.tasks
        made = {new_task(client) for _ in range(7)}
        found = [one.id for one in tasks.list(page_size=2)]
        assert made <= set(found)
        assert len(found) == len(set(found))
        page = tasks.list(page_size=3)
        assert len(page.tasks) == 3
        assert page.has_next_page()
        assert page.get_next_page().tasks[0].id not in {one.id for one in page.tasks}


def secrets_have_every_method() -> None:
    with connected() as client:
        made = client.secrets.create(
            name=f"S_{uuid.uuid4().hex[:8]}",
            value="first value",
            project_id=ENVIRONMENT,
            environment_variable=True,
        ).secret
        client.secrets.update_value(secret_id=made.id, value="second value")
        assert client.secrets.get_value(secret_id=made.id).value == "second value"
        listed = {one.id: one for one in client.secrets.list(filter={"project_ids": [ENVIRONMENT]})}
        assert listed[made.id].environment_variable
        client.secrets.delete(secret_id=made.id)
        assert made.id not in {one.id for one in client.secrets.list(filter={"project_ids": [ENVIRONMENT]})}


def identity_gateways_and_runners() -> None:
    with connected() as client:
        assert client.identity.get_authenticated_identity().subject.principal == "PRINCIPAL_USER"
        assert [one.url for one in client.gateways.list()]
        (runner,) = list(client.runners.list())
        assert client.runners.retrieve(runner_id=runner.runner_id).runner.runner_id == runner.runner_id


def the_organization_is_watched() -> None:
    with connected() as client, watching(client, organization=True) as events:
        made = client.environments.create(spec={}).environment
        for event in events:
            if event.resource_id == made.id:
                assert event.resource_type == "RESOURCE_TYPE_ENVIRONMENT"
                break
        client.environments.delete(environment_id=made.id)


def errors_are_of_their_classes() -> None:
    with connected() as client:
        tasks = client.environments.automations.tasks
        with_class: list[tuple[Any, Callable[[], Any]]] = [
            (gitpod.NotFoundError, lambda: tasks.retrieve(id=NOBODY)),
            (gitpod.BadRequestError, lambda: tasks.retrieve(id="no id")),
            (gitpod.BadRequestError, lambda: tasks.list(token="no token")),
        ]
        gen = new_task(client)
        tasks.create(environment_id=ENVIRONMENT, metadata={"reference": reference()}, depends_on=[gen])
        with_class.append((gitpod.BadRequestError, lambda: tasks.delete(id=gen)))  # failed_precondition
        taken = {"reference": tasks.retrieve(id=gen).task.metadata.reference}
        with_class.append(
            (gitpod.ConflictError, lambda: tasks.create(environment_id=ENVIRONMENT, metadata=taken))
        )
        for kind, act in with_class:
            try:
                act()
            except kind as error:
                assert error.body["code"]
                assert error.body["message"]
            else:
                raise AssertionError(f"{kind.__name__} was not raised")
    with Gitpod(base_url=URL, bearer_token="wrong") as client:
        try:
            client.identity.get_authenticated_identity()
        except gitpod.AuthenticationError as error:
            assert error.body["code"] == "unauthenticated"
        else:
            raise AssertionError("a wrong token was let in")


def an_act_that_was_refused_is_sent_once() -> None:
    sent: list[str] = []
    hooks = {"request": [lambda request: sent.append(request.url.path)]}
    with (
        httpx.Client(event_hooks=hooks) as carrier,
        Gitpod(base_url=URL, bearer_token=TOKEN, http_client=carrier) as client,
    ):
        tasks = client.environments.automations.tasks
        metadata = {"reference": reference()}
        tasks.create(environment_id=ENVIRONMENT, metadata=metadata)
        sent.clear()
        try:
            tasks.create(environment_id=ENVIRONMENT, metadata=metadata)
        except gitpod.ConflictError:
            assert len(sent) == 1, sent
        else:
            raise AssertionError("a reference was taken twice")


def it_works_below_a_prefix() -> None:
    with Gitpod(base_url=f"{URL}/api", bearer_token=TOKEN) as client:
        assert client.identity.get_authenticated_identity().subject.id


CHECKS = {
    check.__name__: check
    for check in (
        run_command_yields_lines,
        run_command_runs_several_at_once,
        run_service_yields_lines,
        environments_run_and_have_a_class,
        environments_have_every_method,
        tasks_have_every_method,
        executions_are_listed_and_stopped,
        services_have_every_method,
        a_file_is_applied,
        lists_go_over_all_pages,
        secrets_have_every_method,
        identity_gateways_and_runners,
        the_organization_is_watched,
        errors_are_of_their_classes,
        an_act_that_was_refused_is_sent_once,
        it_works_below_a_prefix,
    )
}

if __name__ == "__main__":
    carry_out(CHECKS)
