"""The table of routes: what answers each method, what it touches, whose role suffices, what it does.

Knows every handler by its name. A new method is one function, one row here, a message, a client method.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from typing import Final, get_args, get_origin, get_type_hints

from phased.access.roles import closed
from phased.api.calls import Effect, Handler, Route, Streamer
from phased.api.handlers import (
    environments,
    events,
    executions,
    inside,
    logs,
    native,
    organization,
    secrets,
    services,
    tasks,
    timeline,
    triggers,
    web,
)
from phased.contract.resource import ResourceRole as Role
from phased.contract.resource import ResourceType as Kind

_AUTOMATIONS: Final = "gitpod.v1.EnvironmentAutomationService"
_ENVIRONMENTS: Final = "gitpod.v1.EnvironmentService"
_SECRETS: Final = "gitpod.v1.SecretService"
_NATIVE: Final = "phased.v1.DaemonService"

READS, REPEATABLE, ACTS = Effect.READS, Effect.REPEATABLE, Effect.ACTS

# A role that holds another one suffices wherever that does (`access.roles.HOLDS`), so the least are named.
VIEW: Final = frozenset({Role.ENVIRONMENT_VIEWER})
USE: Final = frozenset({Role.ENVIRONMENT_USER})
DEFINE: Final = frozenset({Role.ENVIRONMENT_USER, Role.ORG_AUTOMATIONS_ADMIN})
TASK_VIEW: Final = frozenset({Role.ENVIRONMENT_TASK_VIEWER})
TASK_USE: Final = frozenset({Role.ENVIRONMENT_TASK_USER})
TASK_ADMIN: Final = frozenset({Role.ENVIRONMENT_TASK_ADMIN})
TASK_OUTPUT: Final = frozenset({Role.ENVIRONMENT_TASK_ENV, Role.ENVIRONMENT_TASK_ADMIN})
SERVICE_VIEW: Final = frozenset({Role.ENVIRONMENT_SERVICE_VIEWER})
LOG_VIEW: Final = TASK_VIEW | SERVICE_VIEW
SERVICE_USE: Final = frozenset({Role.ENVIRONMENT_SERVICE_USER})
SERVICE_ADMIN: Final = frozenset({Role.ENVIRONMENT_SERVICE_ADMIN})
MAKE_ENVIRONMENTS: Final = frozenset({Role.RUNNER_USER})
KNOW_RUNNER: Final = frozenset({Role.RUNNER_CONFIGURATION_READER, Role.ENVIRONMENT_VIEWER})
OWN_TOKENS: Final = frozenset({Role.USER_IDENTITY})
KNOW_SECRETS: Final = frozenset({Role.USER_IDENTITY, Role.ENVIRONMENT_VIEWER})
USE_SECRETS: Final = frozenset({Role.USER_IDENTITY, Role.ENVIRONMENT_USER})
"""Whose a secret is decides the rest (`access.vault`)."""
ANYBODY: Final = frozenset(Role) - {Role.UNSPECIFIED}

Row = tuple[str, Handler | Streamer, Kind, frozenset[Role], Effect]


def _of(service: str, rows: Iterable[Row]) -> tuple[Route, ...]:
    return tuple(_route(service, *row) for row in rows)


def _route(
    service: str,
    method: str,
    handler: Handler | Streamer,
    resource: Kind,
    roles: frozenset[Role],
    effect: Effect,
) -> Route:
    """The messages are those of the handler's signature; one whose answers are generated is a stream."""
    hints = get_type_hints(handler)
    request, response = hints["request"], hints["return"]
    streams = get_origin(response) is AsyncGenerator
    if streams:
        response = get_args(response)[0]
    return Route(service, method, handler, request, response, resource, roles, effect, streams)


ROUTES: Final[tuple[Route, ...]] = (
    *_of(_AUTOMATIONS, (
        ("CreateTask", tasks.create_task, Kind.TASK, TASK_ADMIN, ACTS),
        ("GetTask", tasks.get_task, Kind.TASK, TASK_VIEW, READS),
        ("ListTasks", tasks.list_tasks, Kind.TASK, TASK_VIEW, READS),
        ("UpdateTask", tasks.update_task, Kind.TASK, TASK_ADMIN, REPEATABLE),
        ("DeleteTask", tasks.delete_task, Kind.TASK, TASK_ADMIN, ACTS),
        ("StartTask", tasks.start_task, Kind.TASK, TASK_USE, ACTS),
        ("GetTaskExecution", executions.get_task_execution, Kind.TASK_EXECUTION, TASK_VIEW, READS),
        ("ListTaskExecutions", executions.list_task_executions, Kind.TASK_EXECUTION, TASK_VIEW, READS),
        ("StopTaskExecution", executions.stop_task_execution, Kind.TASK_EXECUTION, TASK_USE, REPEATABLE),
        ("CreateService", services.create_service, Kind.SERVICE, SERVICE_ADMIN, ACTS),
        ("GetService", services.get_service, Kind.SERVICE, SERVICE_VIEW, READS),
        ("ListServices", services.list_services, Kind.SERVICE, SERVICE_VIEW, READS),
        ("UpdateService", services.update_service, Kind.SERVICE, SERVICE_ADMIN, REPEATABLE),
        ("DeleteService", services.delete_service, Kind.SERVICE, SERVICE_ADMIN, ACTS),
        ("StartService", services.start_service, Kind.SERVICE, SERVICE_USE, REPEATABLE),
        ("StopService", services.stop_service, Kind.SERVICE, SERVICE_USE, REPEATABLE),
        ("UpsertAutomationsFile", tasks.upsert_automations_file, Kind.ENVIRONMENT, DEFINE, REPEATABLE),
    )),
    _route("gitpod.v1.EventService", "WatchEvents", events.watch_events, Kind.ENVIRONMENT, VIEW, READS),
    *_of(_ENVIRONMENTS, (
        ("GetEnvironment", environments.get_environment, Kind.ENVIRONMENT, VIEW, READS),
        ("ListEnvironments", environments.list_environments, Kind.ENVIRONMENT, VIEW, READS),
        ("CreateEnvironment", environments.create_environment, Kind.ENVIRONMENT, MAKE_ENVIRONMENTS, ACTS),
        ("UpdateEnvironment", environments.update_environment, Kind.ENVIRONMENT, USE, REPEATABLE),
        ("StartEnvironment", environments.start_environment, Kind.ENVIRONMENT, USE, ACTS),
        ("StopEnvironment", environments.stop_environment, Kind.ENVIRONMENT, USE, REPEATABLE),
        ("DeleteEnvironment", environments.delete_environment, Kind.ENVIRONMENT, USE, ACTS),
        ("MarkEnvironmentActive", environments.mark_environment_active, Kind.ENVIRONMENT, USE, REPEATABLE),
        ("CreateEnvironmentLogsToken", environments.create_logs_token, Kind.ENVIRONMENT, VIEW, REPEATABLE),
        ("CreateEnvironmentAccessToken", environments.create_access_token, Kind.ENVIRONMENT, USE, REPEATABLE),
        ("ListEnvironmentClasses", organization.list_environment_classes, Kind.ENVIRONMENT_CLASS, KNOW_RUNNER,
         READS),
    )),
    *_of(_SECRETS, (
        ("CreateSecret", secrets.create_secret, Kind.SECRET, USE_SECRETS, ACTS),
        ("ListSecrets", secrets.list_secrets, Kind.SECRET, KNOW_SECRETS, READS),
        ("GetSecretValue", secrets.get_secret_value, Kind.SECRET, USE_SECRETS, READS),
        ("UpdateSecretValue", secrets.update_secret_value, Kind.SECRET, USE_SECRETS, REPEATABLE),
        ("DeleteSecret", secrets.delete_secret, Kind.SECRET, USE_SECRETS, ACTS),
    )),
    *_of("gitpod.v1.IdentityService", (
        ("GetAuthenticatedIdentity", organization.get_authenticated_identity, Kind.USER, ANYBODY, READS),
    )),
    *_of("gitpod.v1.GatewayService", (
        ("ListGateways", organization.list_gateways, Kind.RUNNER, ANYBODY, READS),
    )),
    *_of("gitpod.v1.RunnerService", (
        ("GetRunner", organization.get_runner, Kind.RUNNER, KNOW_RUNNER, READS),
        ("ListRunners", organization.list_runners, Kind.RUNNER, KNOW_RUNNER, READS),
    )),
    *_of(_NATIVE, (
        ("GetStatus", native.get_status, Kind.ENVIRONMENT, VIEW, READS),
        ("ApplyFile", native.apply_file, Kind.ENVIRONMENT, DEFINE, REPEATABLE),
        ("SetOutput", native.set_output, Kind.TASK_EXECUTION, TASK_OUTPUT, REPEATABLE),
        ("ExplainService", services.explain_service, Kind.SERVICE, SERVICE_VIEW, READS),
        ("RestartService", services.restart_service, Kind.SERVICE, SERVICE_USE, ACTS),
        ("ExplainExecution", native.explain_execution, Kind.TASK_EXECUTION, TASK_VIEW, READS),
        ("GetTimeline", timeline.get_timeline, Kind.TASK_EXECUTION, TASK_VIEW, READS),
        ("QueryTaskExecutions", native.query_task_executions, Kind.TASK_EXECUTION, TASK_VIEW, READS),
        ("FireTrigger", triggers.fire_trigger, Kind.ENVIRONMENT, USE, ACTS),
        ("ResumeFiring", triggers.resume_firing, Kind.ENVIRONMENT, USE, ACTS),
        ("StartPrebuild", triggers.start_prebuild, Kind.ENVIRONMENT, USE, ACTS),
        ("GetFiring", triggers.get_firing, Kind.ENVIRONMENT, VIEW, READS),
        ("ListFirings", triggers.list_firings, Kind.ENVIRONMENT, VIEW, READS),
        ("StopFiring", triggers.stop_firing, Kind.ENVIRONMENT, USE, REPEATABLE),
        ("ExplainEnvironment", inside.explain_environment, Kind.ENVIRONMENT, USE, READS),
        ("ListProcesses", inside.list_processes, Kind.ENVIRONMENT, VIEW, READS),
        ("DescribeLogs", logs.describe_logs, Kind.TASK_EXECUTION, LOG_VIEW, READS),
        ("CreateToken", native.create_token, Kind.PERSONAL_ACCESS_TOKEN, OWN_TOKENS, ACTS),
        ("ListTokens", native.list_tokens, Kind.PERSONAL_ACCESS_TOKEN, OWN_TOKENS, READS),
        ("CreateWebLogin", web.create_web_login, Kind.PERSONAL_ACCESS_TOKEN, OWN_TOKENS, ACTS),
        ("CheckFile", web.check_file, Kind.ENVIRONMENT, VIEW, READS),
        ("ListAutomations", web.list_automations, Kind.ENVIRONMENT, VIEW, READS),
        ("RevokeToken", native.revoke_token, Kind.PERSONAL_ACCESS_TOKEN, OWN_TOKENS, ACTS),
    )),
)  # fmt: skip
"""Every method, its service's rows together."""

_ASKED: Final = frozenset(role for route in ROUTES if route.roles is not ANYBODY for role in route.roles)
KNOWN_ROLES: Final = frozenset(role for role in ANYBODY if closed(frozenset({role})) & _ASKED)
"""The roles that open a method: what a token may have."""
