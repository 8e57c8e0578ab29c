"""Every method that a daemon answers, typed: one line each.

Knows names of services, methods and messages. Must not know how they travel. A method's messages are imported
when it is first used: most programs need few of them.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

if TYPE_CHECKING:
    from phased.client.asynchronous import AsyncClient
    from phased.client.sync import Client
    from phased.contract import automations_file as file
    from phased.contract import environment_calls as environments
    from phased.contract import environment_class as classes
    from phased.contract import environment_update as update
    from phased.contract import event, gateway, identity, phased_v1, runner_calls
    from phased.contract import execution_calls as executions
    from phased.contract import phased_v1_firing as firing
    from phased.contract import phased_v1_inside as inside
    from phased.contract import phased_v1_logs as logs
    from phased.contract import phased_v1_service as native_services
    from phased.contract import phased_v1_timeline as timeline
    from phased.contract import phased_v1_web as web
    from phased.contract import secret_calls as secrets
    from phased.contract import service_calls as services
    from phased.contract import task_calls as tasks
    from phased.contract.base import Message

Request = TypeVar("Request", bound="Message")
Response = TypeVar("Response", bound="Message")

AUTOMATIONS: Final = "gitpod.v1.EnvironmentAutomationService"
ENVIRONMENTS: Final = "gitpod.v1.EnvironmentService"
EVENTS: Final = "gitpod.v1.EventService"
SECRETS: Final = "gitpod.v1.SecretService"
IDENTITY: Final = "gitpod.v1.IdentityService"
GATEWAYS: Final = "gitpod.v1.GatewayService"
RUNNERS: Final = "gitpod.v1.RunnerService"
DAEMON: Final = "phased.v1.DaemonService"


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """One method of a service, with its messages."""

    service: str
    name: str
    request: type[Request]
    response: type[Response]

    @property
    def path(self) -> str:
        """As it is asked for: `/gitpod.v1.EventService/WatchEvents`."""
        return f"/{self.service}/{self.name}"


class _Named(Generic[Request, Response]):
    """A method as an attribute of a client; the names of method and messages follow from the attribute's."""

    def __init__(self, service: str, module: str) -> None:
        """`module` of the contract has the two messages."""
        self._service = service
        self._module = module
        self._method: Method[Request, Response] | None = None
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = "".join(word.capitalize() for word in name.split("_"))

    @property
    def method(self) -> Method[Request, Response]:
        """What it asks."""
        if self._method is None:
            module = importlib.import_module(f"phased.contract.{self._module}")
            request, response = (getattr(module, f"{self._name}{end}") for end in ("Request", "Response"))
            self._method = Method(self._service, self._name, request, response)
        return self._method


class Unary(_Named[Request, Response]):
    """A method with one answer: called with its request, it gives its response, or an awaitable of it.

    Raises Refused where the daemon refuses, Unreachable where there is none.
    """

    @overload
    def __get__(self, client: None, owner: type) -> Unary[Request, Response]: ...
    @overload
    def __get__(self, client: Client, owner: type) -> Callable[[Request], Response]: ...
    @overload
    def __get__(self, client: AsyncClient, owner: type) -> Callable[[Request], Awaitable[Response]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        """The method of this client."""
        return self if client is None else lambda request: client.call(self.method, request)


class Stream(_Named[Request, Response]):
    """A method with many answers: called with its request, it gives a context in which to iterate over them.

    The stream is live once the context is entered. Raises as `Unary` does, also in the midst.
    """

    @overload
    def __get__(self, client: None, owner: type) -> Stream[Request, Response]: ...
    @overload
    def __get__(
        self, client: Client, owner: type
    ) -> Callable[[Request], AbstractContextManager[Iterator[Response]]]: ...
    @overload
    def __get__(
        self, client: AsyncClient, owner: type
    ) -> Callable[[Request], AbstractAsyncContextManager[AsyncIterator[Response]]]: ...
    def __get__(self, client: Any, owner: type) -> Any:
        """The method of this client."""
        return self if client is None else lambda request: client.stream(self.method, request)


class Methods:
    """All of them. `pages` of a client walks those that list."""

    create_task: Unary[tasks.CreateTaskRequest, tasks.CreateTaskResponse] = Unary(AUTOMATIONS, "task_calls")

    get_task: Unary[tasks.GetTaskRequest, tasks.GetTaskResponse] = Unary(AUTOMATIONS, "task_calls")
    list_tasks: Unary[tasks.ListTasksRequest, tasks.ListTasksResponse] = Unary(AUTOMATIONS, "task_calls")
    update_task: Unary[tasks.UpdateTaskRequest, tasks.UpdateTaskResponse] = Unary(AUTOMATIONS, "task_calls")
    delete_task: Unary[tasks.DeleteTaskRequest, tasks.DeleteTaskResponse] = Unary(AUTOMATIONS, "task_calls")
    start_task: Unary[tasks.StartTaskRequest, tasks.StartTaskResponse] = Unary(AUTOMATIONS, "task_calls")

    get_task_execution: Unary[executions.GetTaskExecutionRequest, executions.GetTaskExecutionResponse] = (
        Unary(AUTOMATIONS, "execution_calls")
    )
    list_task_executions: Unary[
        executions.ListTaskExecutionsRequest, executions.ListTaskExecutionsResponse
    ] = Unary(AUTOMATIONS, "execution_calls")
    stop_task_execution: Unary[executions.StopTaskExecutionRequest, executions.StopTaskExecutionResponse] = (
        Unary(AUTOMATIONS, "execution_calls")
    )

    create_service: Unary[services.CreateServiceRequest, services.CreateServiceResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )
    get_service: Unary[services.GetServiceRequest, services.GetServiceResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )
    list_services: Unary[services.ListServicesRequest, services.ListServicesResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )
    update_service: Unary[services.UpdateServiceRequest, services.UpdateServiceResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )
    delete_service: Unary[services.DeleteServiceRequest, services.DeleteServiceResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )
    start_service: Unary[services.StartServiceRequest, services.StartServiceResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )
    stop_service: Unary[services.StopServiceRequest, services.StopServiceResponse] = Unary(
        AUTOMATIONS, "service_calls"
    )

    upsert_automations_file: Unary[file.UpsertAutomationsFileRequest, file.UpsertAutomationsFileResponse] = (
        Unary(AUTOMATIONS, "automations_file")
    )

    create_environment: Unary[
        environments.CreateEnvironmentRequest, environments.CreateEnvironmentResponse
    ] = Unary(ENVIRONMENTS, "environment_calls")
    get_environment: Unary[environments.GetEnvironmentRequest, environments.GetEnvironmentResponse] = Unary(
        ENVIRONMENTS, "environment_calls"
    )
    list_environments: Unary[environments.ListEnvironmentsRequest, environments.ListEnvironmentsResponse] = (
        Unary(ENVIRONMENTS, "environment_calls")
    )
    start_environment: Unary[environments.StartEnvironmentRequest, environments.StartEnvironmentResponse] = (
        Unary(ENVIRONMENTS, "environment_calls")
    )
    stop_environment: Unary[environments.StopEnvironmentRequest, environments.StopEnvironmentResponse] = (
        Unary(ENVIRONMENTS, "environment_calls")
    )
    delete_environment: Unary[
        environments.DeleteEnvironmentRequest, environments.DeleteEnvironmentResponse
    ] = Unary(ENVIRONMENTS, "environment_calls")
    mark_environment_active: Unary[
        environments.MarkEnvironmentActiveRequest, environments.MarkEnvironmentActiveResponse
    ] = Unary(ENVIRONMENTS, "environment_calls")
    create_environment_logs_token: Unary[
        environments.CreateEnvironmentLogsTokenRequest, environments.CreateEnvironmentLogsTokenResponse
    ] = Unary(ENVIRONMENTS, "environment_calls")
    create_environment_access_token: Unary[
        environments.CreateEnvironmentAccessTokenRequest, environments.CreateEnvironmentAccessTokenResponse
    ] = Unary(ENVIRONMENTS, "environment_calls")

    update_environment: Unary[update.UpdateEnvironmentRequest, update.UpdateEnvironmentResponse] = Unary(
        ENVIRONMENTS, "environment_update"
    )

    list_environment_classes: Unary[
        classes.ListEnvironmentClassesRequest, classes.ListEnvironmentClassesResponse
    ] = Unary(ENVIRONMENTS, "environment_class")

    watch_events: Stream[event.WatchEventsRequest, event.WatchEventsResponse] = Stream(EVENTS, "event")

    create_secret: Unary[secrets.CreateSecretRequest, secrets.CreateSecretResponse] = Unary(
        SECRETS, "secret_calls"
    )
    list_secrets: Unary[secrets.ListSecretsRequest, secrets.ListSecretsResponse] = Unary(
        SECRETS, "secret_calls"
    )
    update_secret_value: Unary[secrets.UpdateSecretValueRequest, secrets.UpdateSecretValueResponse] = Unary(
        SECRETS, "secret_calls"
    )
    get_secret_value: Unary[secrets.GetSecretValueRequest, secrets.GetSecretValueResponse] = Unary(
        SECRETS, "secret_calls"
    )
    delete_secret: Unary[secrets.DeleteSecretRequest, secrets.DeleteSecretResponse] = Unary(
        SECRETS, "secret_calls"
    )

    get_authenticated_identity: Unary[
        identity.GetAuthenticatedIdentityRequest, identity.GetAuthenticatedIdentityResponse
    ] = Unary(IDENTITY, "identity")

    list_gateways: Unary[gateway.ListGatewaysRequest, gateway.ListGatewaysResponse] = Unary(
        GATEWAYS, "gateway"
    )

    get_runner: Unary[runner_calls.GetRunnerRequest, runner_calls.GetRunnerResponse] = Unary(
        RUNNERS, "runner_calls"
    )
    list_runners: Unary[runner_calls.ListRunnersRequest, runner_calls.ListRunnersResponse] = Unary(
        RUNNERS, "runner_calls"
    )

    get_status: Unary[phased_v1.GetStatusRequest, phased_v1.GetStatusResponse] = Unary(DAEMON, "phased_v1")
    apply_file: Unary[phased_v1.ApplyFileRequest, phased_v1.ApplyFileResponse] = Unary(DAEMON, "phased_v1")
    set_output: Unary[phased_v1.SetOutputRequest, phased_v1.SetOutputResponse] = Unary(DAEMON, "phased_v1")
    explain_execution: Unary[phased_v1.ExplainExecutionRequest, phased_v1.ExplainExecutionResponse] = Unary(
        DAEMON, "phased_v1"
    )
    restart_service: Unary[native_services.RestartServiceRequest, native_services.RestartServiceResponse] = (
        Unary(DAEMON, "phased_v1_service")
    )
    explain_service: Unary[native_services.ExplainServiceRequest, native_services.ExplainServiceResponse] = (
        Unary(DAEMON, "phased_v1_service")
    )
    get_timeline: Unary[timeline.GetTimelineRequest, timeline.GetTimelineResponse] = Unary(
        DAEMON, "phased_v1_timeline"
    )
    query_task_executions: Unary[
        phased_v1.QueryTaskExecutionsRequest, phased_v1.QueryTaskExecutionsResponse
    ] = Unary(DAEMON, "phased_v1")
    fire_trigger: Unary[firing.FireTriggerRequest, firing.FireTriggerResponse] = Unary(
        DAEMON, "phased_v1_firing"
    )
    resume_firing: Unary[firing.ResumeFiringRequest, firing.ResumeFiringResponse] = Unary(
        DAEMON, "phased_v1_firing"
    )
    start_prebuild: Unary[firing.StartPrebuildRequest, firing.StartPrebuildResponse] = Unary(
        DAEMON, "phased_v1_firing"
    )
    get_firing: Unary[firing.GetFiringRequest, firing.GetFiringResponse] = Unary(DAEMON, "phased_v1_firing")
    list_firings: Unary[firing.ListFiringsRequest, firing.ListFiringsResponse] = Unary(
        DAEMON, "phased_v1_firing"
    )
    stop_firing: Unary[firing.StopFiringRequest, firing.StopFiringResponse] = Unary(
        DAEMON, "phased_v1_firing"
    )
    explain_environment: Unary[inside.ExplainEnvironmentRequest, inside.ExplainEnvironmentResponse] = Unary(
        DAEMON, "phased_v1_inside"
    )
    list_processes: Unary[inside.ListProcessesRequest, inside.ListProcessesResponse] = Unary(
        DAEMON, "phased_v1_inside"
    )
    describe_logs: Unary[logs.DescribeLogsRequest, logs.DescribeLogsResponse] = Unary(
        DAEMON, "phased_v1_logs"
    )
    create_token: Unary[phased_v1.CreateTokenRequest, phased_v1.CreateTokenResponse] = Unary(
        DAEMON, "phased_v1"
    )
    list_tokens: Unary[phased_v1.ListTokensRequest, phased_v1.ListTokensResponse] = Unary(DAEMON, "phased_v1")
    create_web_login: Unary[web.CreateWebLoginRequest, web.CreateWebLoginResponse] = Unary(
        DAEMON, "phased_v1_web"
    )
    check_file: Unary[web.CheckFileRequest, web.CheckFileResponse] = Unary(DAEMON, "phased_v1_web")
    list_automations: Unary[web.ListAutomationsRequest, web.ListAutomationsResponse] = Unary(
        DAEMON, "phased_v1_web"
    )
    revoke_token: Unary[phased_v1.RevokeTokenRequest, phased_v1.RevokeTokenResponse] = Unary(
        DAEMON, "phased_v1"
    )


def all_methods() -> list[Method[Any, Any]]:
    """Every method, in the order above; imports all their messages."""
    return [entry.method for entry in vars(Methods).values() if isinstance(entry, _Named)]
