"""What an automations file may hold: every key, its shape and its sentence of documentation, as one table.

`semantics: The automations file` is the source; contract.json's AutomationsFile gives patterns and bounds.
The reader, the JSON Schema and the reference page are all made from this.
"""

from __future__ import annotations

from phased.loader.shapes import Choice, Either, Field, Flag, Listing, Record, Span, Table, Text, Whole

REFERENCE_PATTERN = "[a-zA-Z0-9_-]{1,128}"
VARIABLE_PATTERN = "[A-Za-z_][A-Za-z0-9_]*"

DAY = 24 * 60 * 60
YEAR = 365 * DAY

TRIGGERS = (
    "manual",
    "postMachineStart",
    "postEnvironmentStart",
    "postDevcontainerStart",
    "prebuild",
    "beforeSnapshot",
)

_TO_TRIGGERS = "write `triggeredBy:` with a list of triggers"
_TO_DEPENDENCIES = "write `dependsOn:` with a list of references"
_TO_RUNS_ON = "write `runsOn: {docker: {image: IMAGE}}`"
_TO_DIRECTORY = "begin the command with `cd DIRECTORY &&`"
_TO_INIT = "put it into the command, or make it a task of its own that this one names in `dependsOn`"
_NO_PORTS = "remove it: ports are opened by the command itself"
_NO_SCHEDULE = (
    "remove it: nothing starts by the clock; call `phased trigger` or `phased task start` from a timer"
)

_SHARED_MEANT = {
    "triggers": _TO_TRIGGERS,
    "trigger": _TO_TRIGGERS,
    "triggerBy": _TO_TRIGGERS,
    "on": _TO_TRIGGERS,
    "when": _TO_TRIGGERS,
    "depends": _TO_DEPENDENCIES,
    "needs": _TO_DEPENDENCIES,
    "requires": _TO_DEPENDENCIES,
    "after": _TO_DEPENDENCIES,
    "environment": "write `env:` with `NAME: value` below it",
    "variables": "write `env:` with `NAME: value` below it",
    "image": _TO_RUNS_ON,
    "docker": _TO_RUNS_ON,
    "container": _TO_RUNS_ON,
    "cwd": _TO_DIRECTORY,
    "dir": _TO_DIRECTORY,
    "workingDirectory": _TO_DIRECTORY,
    "port": _NO_PORTS,
    "ports": _NO_PORTS,
    "schedule": _NO_SCHEDULE,
    "cron": _NO_SCHEDULE,
    "title": "write `name:`",
    "label": "write `name:`",
    "id": "remove it: the key above is the reference",
}

_NAME = Field("name", Text(), "What people see; the reference where it is missing.")
_DESCRIPTION = Field("description", Text(), "What it is for.")
_ENV = Field(
    "env",
    Table(
        "a variable's name",
        VARIABLE_PATTERN,
        Either(
            Text(loose=True),
            Record(
                "a variable",
                (
                    Field(
                        "secret",
                        Text(nonempty=True),
                        "The name of the secret to take it from.",
                        required=True,
                    ),
                ),
                meant={
                    "value": "write the value right after the name: `NAME: value`",
                    "valueFrom": "write `NAME: {secret: NAME_OF_SECRET}`",
                    "secretRef": "write `NAME: {secret: NAME_OF_SECRET}`",
                },
            ),
        ),
        example="write `NAME: value` instead of the list",
    ),
    "Environment variables: a value each, or `{secret: NAME}`.",
    extension=True,
)
_DEPENDS_ON = "References of the tasks and services that come first."
_RUNS_ON = Field(
    "runsOn",
    Record(
        "runsOn",
        (
            Field(
                "docker",
                Record(
                    "docker",
                    (
                        Field("image", Text(nonempty=True), "The image of the container.", required=True),
                        Field(
                            "environment",
                            Listing(Text(nonempty=True)),
                            "`KEY=VALUE`, or `KEY` to pass a variable through if it is set.",
                        ),
                    ),
                    meant={"env": "write `environment:` with a list of `KEY=VALUE`"},
                    instead="write `docker: {{image: {text}}}`",
                ),
                "In a container of this image.",
            ),
            Field("machine", Record("machine", ()), "On the host where the daemon runs, as by default."),
        ),
        meant={"image": _TO_RUNS_ON, "container": _TO_RUNS_ON, "host": "write `machine: {}`"},
        instead="write `runsOn: {{docker: {{image: IMAGE}}}}` or `runsOn: {{machine: {{}}}}`",
        exclusive=True,
    ),
    "Where its commands run.",
)


def _triggered_by(doc: str) -> Field:
    return Field("triggeredBy", Listing(Choice(TRIGGERS)), doc)


TASK = Record(
    "a task",
    (
        _NAME,
        _DESCRIPTION,
        Field("command", Text(), "The script to run; without one, the task joins what it depends on."),
        Field("dependsOn", Listing(Text(nonempty=True)), _DEPENDS_ON),
        _triggered_by("What starts it."),
        _RUNS_ON,
        Field("prebuildRequiresSuccess", Flag(), "Whether a prebuild fails if this task does not succeed."),
        _ENV,
        Field("timeout", Span(YEAR), "How long each attempt may last; 0s is without limit.", extension=True),
        Field(
            "retries",
            Either(
                Whole(0, 1_000_000),
                Record(
                    "retries",
                    (
                        Field("limit", Whole(0, 1_000_000), "How often to try again.", required=True),
                        Field("backoff", Span(YEAR), "The first pause (2s); it doubles, up to 5 minutes."),
                        Field("exitCodes", Listing(Whole(1, 255)), "The only exit codes to try again after."),
                    ),
                ),
            ),
            "How often a failed attempt is repeated.",
            extension=True,
        ),
    ),
    meant={
        **_SHARED_MEANT,
        "commands": "a task has one `command:`; `commands:` belongs to a service",
        "init": _TO_INIT,
        "before": _TO_INIT,
        "prebuild": "write `triggeredBy: [prebuild]` with a `command:`",
        "run": "write `command:`",
        "script": "write `command:`",
        "cmd": "write `command:`",
        "exec": "write `command:`",
        "start": "write `command:`",
        "steps": "write one `command: |` with a line for each step",
        "ready": "only a service has it: move this task to `services:`, with `commands:`",
        "stop": "only a service has it: move this task to `services:`, with `commands:`",
        "readinessTimeout": "only a service has it: move this task to `services:`, with `commands:`",
        "restart": "only a service has it; a task has `retries:`",
        "role": "remove it: only a service has a role",
    },
    instead="write `command: {text}` below the reference",
)

_UNDER_COMMANDS = "move it under `commands:`"

SERVICE = Record(
    "a service",
    (
        _NAME,
        _DESCRIPTION,
        Field(
            "commands",
            Record(
                "commands",
                (
                    Field("start", Text(nonempty=True), "The script that keeps running.", required=True),
                    Field("ready", Text(), "Runs again and again until it exits with 0: then it is ready."),
                    Field("stop", Text(), "Runs instead of SIGTERM to stop it."),
                ),
                meant={
                    "command": "write `start:`",
                    "run": "write `start:`",
                    "cmd": "write `start:`",
                    "script": "write `start:`",
                    "init": "make it a task, and name that in the service's `dependsOn:`",
                    "readiness": "write `ready:`",
                    "healthcheck": "write `ready:`",
                    "check": "write `ready:`",
                    "shutdown": "write `stop:`",
                },
                instead="write `commands: {{start: {text}}}`",
            ),
            "Its scripts.",
            required=True,
        ),
        _triggered_by("What starts it; never beforeSnapshot."),
        _RUNS_ON,
        Field("role", Choice(("", "default", "editor", "ai-agent")), "What it is to the environment."),
        Field("readinessTimeout", Span(DAY), "How long it may take to be ready; 0s is without limit."),
        _ENV,
        Field("dependsOn", Listing(Text(nonempty=True)), _DEPENDS_ON, extension=True),
        Field(
            "restart",
            Either(
                Choice(
                    ("never", "on-failure", "always"),
                    meant={
                        "no": "write `never`",
                        "false": "write `never`",
                        "unless-stopped": "write `always`",
                    },
                ),
                Record(
                    "restart",
                    (
                        Field(
                            "policy",
                            Choice(("never", "on-failure", "always")),
                            "When to restart it.",
                            required=True,
                        ),
                        Field("backoff", Span(YEAR), "The first pause (1s); it doubles, up to 5 minutes."),
                        Field("limit", Whole(0, 1_000_000), "How often at most; without one, forever."),
                    ),
                ),
            ),
            "What happens when its start script ends by itself.",
            extension=True,
        ),
    ),
    meant={
        **_SHARED_MEANT,
        "command": "a service has `commands:` with `start:` in it; `command:` belongs to a task",
        "start": _UNDER_COMMANDS,
        "stop": _UNDER_COMMANDS,
        "ready": _UNDER_COMMANDS,
        "run": "write `commands:` with `start:` in it",
        "script": "write `commands:` with `start:` in it",
        "cmd": "write `commands:` with `start:` in it",
        "init": "make it a task, and name that in the service's `dependsOn:`",
        "readiness": "write `ready:` under `commands:`",
        "healthcheck": "write `ready:` under `commands:`",
        "ready_on": "write a command that exits with 0 once it is ready as `ready:` under `commands:`",
        "readyOn": "write a command that exits with 0 once it is ready as `ready:` under `commands:`",
        "timeout": "write `readinessTimeout:`, or move it to a task",
        "retries": "only a task has it; a service has `restart:`",
        "prebuildRequiresSuccess": "remove it: only a task has it",
    },
    instead="write `commands: {{start: {text}}}` below the reference",
)

_MAPPING_EXAMPLE = "write a mapping: `{name}:` with its keys indented below it, instead of the list"

FILE = Record(
    "an automations file",
    (
        Field("tasks", Table("a reference", REFERENCE_PATTERN, TASK, _MAPPING_EXAMPLE), "Commands that end."),
        Field(
            "services",
            Table("a reference", REFERENCE_PATTERN, SERVICE, _MAPPING_EXAMPLE),
            "Commands that keep running.",
        ),
    ),
    meant={
        "automations": "write `tasks:` and `services:` at the top, without `automations:` around them",
        "version": "remove it: the file has no version",
        "init": "make it a task: `tasks:`, a reference, `command:`",
        "command": "make it a task: `tasks:`, a reference, `command:`",
        "jobs": "write `tasks:`",
        "scripts": "write `tasks:`",
        "environment": "write `env:` in the task or service that needs it",
        "env": "write it in the task or service that needs it",
        "image": _TO_RUNS_ON + " in the task or service that needs it",
        "ports": _NO_PORTS,
    },
    instead="write `tasks:` with a reference and a `command:` below it",
)
