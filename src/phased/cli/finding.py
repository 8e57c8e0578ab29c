"""Finding what a person names: tasks and services by reference, executions by id, its beginning, or a task.

Knows the client's lists. Must not know how anything is shown.
"""

from __future__ import annotations

import difflib
import re
from itertools import islice
from typing import Final
from uuid import UUID

from phased.cli.connection import PAGE, Connection
from phased.contract.execution import TaskExecution
from phased.contract.execution_calls import GetTaskExecutionRequest
from phased.contract.pagination import PaginationRequest
from phased.contract.phased_v1 import QueryTaskExecutionsRequest
from phased.contract.service import Service
from phased.contract.service_calls import GetServiceRequest, ListServicesRequest, ListServicesRequestFilter
from phased.contract.task import Task
from phased.contract.task_calls import GetTaskRequest, ListTasksRequest, ListTasksRequestFilter
from phased.errors import NotFound

_BEGINNING: Final = re.compile(r"[0-9a-f-]{4,36}")
_REFERENCE: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_PAGES: Final = 50
"""Pages of the history in which the beginning of an id is looked for."""


def is_id(text: str) -> bool:
    """Whether it is a whole id."""
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def is_reference(text: str) -> bool:
    """Whether it can be the reference of a task or service, and is no id."""
    return _REFERENCE.fullmatch(text) is not None and not is_id(text)


def tasks(daemon: Connection, *references: str) -> list[Task]:
    """The tasks of the environment; with references, only those."""
    narrow = ListTasksRequestFilter(environment_ids=(daemon.environment_id,), references=references)
    request = ListTasksRequest(pagination=PaginationRequest(page_size=PAGE), filter=narrow)
    return [task for page in daemon.client.pages(daemon.client.list_tasks, request) for task in page.tasks]


def services(daemon: Connection, *references: str) -> list[Service]:
    """The services of the environment; with references, only those."""
    narrow = ListServicesRequestFilter(environment_ids=(daemon.environment_id,), references=references)
    request = ListServicesRequest(pagination=PaginationRequest(page_size=PAGE), filter=narrow)
    pages = daemon.client.pages(daemon.client.list_services, request)
    return [service for page in pages for service in page.services]


def find_task(daemon: Connection, text: str) -> Task:
    """The task with this reference or id. Raises NotFound, naming the likeliest."""
    if is_id(text):
        return daemon.client.get_task(GetTaskRequest(id=text)).task
    if found := tasks(daemon, text):
        return found[0]
    known = [task.metadata.reference for task in tasks(daemon) if task.metadata]
    raise NotFound(f"cannot find a task {text!r}; {_hint(text, known)}")


def find_service(daemon: Connection, text: str) -> Service:
    """The service with this reference or id. Raises NotFound, naming the likeliest."""
    if is_id(text):
        return daemon.client.get_service(GetServiceRequest(id=text)).service
    if found := services(daemon, text):
        return found[0]
    known = [service.metadata.reference for service in services(daemon) if service.metadata]
    raise NotFound(f"cannot find a service {text!r}; {_hint(text, known)}")


def _hint(text: str, known: list[str]) -> str:
    near = difflib.get_close_matches(text, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return (
        f"there are: {', '.join(known[:20])}" if known else "there are none; `phased update` applies a file"
    )


def find_execution(daemon: Connection, text: str) -> TaskExecution:
    """The execution with this id, the newest of the task with this reference, or the one whose id begins so.

    Raises NotFound.
    """
    if is_id(text):
        return daemon.client.get_task_execution(GetTaskExecutionRequest(id=text)).task_execution
    if newest := executions(daemon, text, limit=1):
        return newest[0]
    return by_beginning(daemon, text)


def by_beginning(daemon: Connection, text: str) -> TaskExecution:
    """The only execution whose id begins so. Raises NotFound."""
    found: list[TaskExecution] = []
    if _BEGINNING.fullmatch(text) is not None:
        request = QueryTaskExecutionsRequest(pagination=PaginationRequest(page_size=PAGE))
        pages = daemon.client.pages(daemon.client.query_task_executions, request)
        known = (one for page in islice(pages, _PAGES) for one in page.task_executions)
        found = [one for one in known if one.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(one.id for one in found[:5])
        raise NotFound(f"cannot tell which execution {text} is: {ids}; give more of its id")
    raise NotFound(
        f"cannot find an execution {text!r}: it is neither an id nor a task that has run; "
        "`phased executions` shows what there is"
    )


def executions(daemon: Connection, *references: str, limit: int) -> list[TaskExecution]:
    """The newest executions of the environment; with references, only of those tasks."""
    environment = (daemon.environment_id,)
    return query_executions(
        daemon, QueryTaskExecutionsRequest(environment_ids=environment, references=references), limit
    )


def query_executions(
    daemon: Connection, request: QueryTaskExecutionsRequest, limit: int
) -> list[TaskExecution]:
    """The first of those that are asked for."""
    request = request.model_copy(update={"pagination": PaginationRequest(page_size=min(limit, PAGE))})
    pages = daemon.client.pages(daemon.client.query_task_executions, request)
    return list(islice((one for page in pages for one in page.task_executions), limit))
