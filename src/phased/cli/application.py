"""The click application: verbs that are imported when they are called, and how errors end.

Knows the names of verbs and the exit codes of errors. Must not know what a verb does.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import click

from phased import errors
from phased.cli.groups import LazyGroup
from phased.cli.options import common_parameters

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""What a shell shows of a program that its reader left (128 + SIGPIPE)."""
_CANNOT_WRITE: Final = frozenset({errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EBADF})

VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "validate": ("validate:validate", "Check an automations file: every error with its line and a hint."),
    "plan": ("plan:plan", "Show the groups and steps that would run; runs nothing."),
    "run": ("run:run", "Plan tasks and run them in the foreground."),
    "executions": ("executions:executions", "Show the history of executions, or one of them."),
    "logs": ("logs:logs", "Show the output of an execution's steps."),
    "serve": ("serve:serve", "Run the daemon, in the foreground."),
    "web": ("web:web", "Log in to the daemon's page, in a browser."),
    "status": ("status:status", "Show what the daemon is doing."),
    "reload": ("reload:reload", "Let the daemon's new version take its place."),
    "task": ("task:task", "Tasks of a daemon: list, get, start, stop, logs, executions."),
    "service": ("service:service", "Services of a daemon: list, get, start, stop, restart, logs."),
    "update": ("update:update", "Apply an automations file to the daemon."),
    "trigger": ("trigger:trigger", "Fire a trigger in a daemon: NAME, list, show, stop."),
    "prebuild": ("prebuild:prebuild", "Run the prebuild, then what comes before a snapshot."),
    "events": ("events:events", "Show what changes, as it changes."),
    "why": ("why:why", "Say why an execution waits, failed, or did not start."),
    "ps": ("ps:ps", "Show the processes of running steps and services."),
    "env": ("env:env", "Show the variables of a task or service, and their origins."),
    "environment": (
        "environment:environment",
        "Environments of a daemon: list, create, get, start, stop, delete.",
    ),
    "secret": ("secret:secret", "Secrets of an environment: list, set, delete."),
    "token": ("token:token", "Tokens: create, list, revoke."),
    "output": ("output:output", "Set outputs of a running step."),
    "store": ("store:store", "The state on disk: check, backup, restore, repair."),
    "install-service": (
        "install_service:install_service",
        "Make the daemon a service of systemd.",
    ),
    "doctor": ("doctor:doctor", "Check this machine: what would keep the daemon from working."),
    "schema": ("schema:schema", "Print the JSON Schema of the automations file, for editors."),
    "config": ("config:config", "Show settings and where they came from."),
    "completion": ("completion:completion", "Print a script that completes commands in your shell."),
    "automations": ("automations:automations", ""),
}
"""Each verb: its module in this package and its command there, and its line in the help; those without are
not listed."""

EXIT_CODES: Final[Mapping[type[errors.PhasedError], int]] = {
    errors.InvalidFile: 1,
    errors.FileUnreadable: 2,
    errors.SettingsError: 2,
    errors.UnknownReference: 2,
    errors.CycleFound: 1,
    errors.PlanError: 1,
    errors.StoreTooNew: 2,
    errors.StoreUnreadable: 2,
    errors.StoreError: 1,
    errors.StateDirectoryHeld: 4,
    errors.RunnerError: 1,
    errors.NotFound: 4,
    errors.AlreadyExists: 4,
    errors.FailedPrecondition: 4,
    errors.InvalidArgument: 4,
    errors.Unauthenticated: 4,
    errors.PermissionDenied: 4,
    errors.Unavailable: 4,
    errors.Unreachable: 4,
    errors.Refused: 4,
    errors.Unsupported: 1,
    errors.IllegalTransition: 1,
    errors.PhasedError: 1,
}
"""`cli: Everywhere`. An error that is not here counts as the nearest of its bases."""

_HELP = """An automation task-execution engine for development environments.

Reads the tasks of an automations file, orders them by what they depend on, and runs them.

\b
Examples:
  phased validate                      check the file of this workspace
  phased plan build                    what would run for the task build
  phased run build test                run two tasks with all they need
  phased logs build --follow           the output of the newest run of build
  phased executions --sort createdAt:desc --limit 5

Exit codes: 0 succeeded; 1 failed, or the file is invalid; 2 usage, or a file that cannot be read;
3 stopped; 4 no daemon to talk to, or it refused; 130 interrupted by Ctrl-C.
"""


def _show_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001 - click's
    if value and not context.resilient_parsing:
        from phased import __version__  # noqa: PLC0415 - rarely needed

        click.echo(f"phased {__version__}")
        context.exit()


application: Final = LazyGroup(
    VERBS,
    name="phased",
    help=_HELP,
    callback=lambda: None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    params=[
        *common_parameters(),
        click.Option(
            ["-V", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version.",
        ),
    ],
)


def invoke(arguments: Sequence[str]) -> int:
    """Carry out a command line; its exit code. No expected error leaves it as a traceback."""
    _open_standard_descriptors()
    try:
        code = _carry_out(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_output()
        return BROKEN_PIPE
    except OSError as error:
        if error.errno not in _CANNOT_WRITE:
            raise
        _forget_output()
        click.echo(f"phased: cannot write the answer: {error.strerror}", err=True)
        return 1
    return code


def _open_standard_descriptors() -> None:
    """Where 0, 1 or 2 is closed, the next file or socket would get its number, and what is written there."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # open(2): the lowest number that is free


def _carry_out(arguments: Sequence[str]) -> int:
    try:
        answer = application.main(list(arguments), prog_name="phased", standalone_mode=False)
    except BaseExceptionGroup as group:
        return _show(_only(group))
    except (click.ClickException, click.Abort, KeyboardInterrupt, errors.PhasedError) as error:
        return _show(error)
    return answer if isinstance(answer, int) else 0


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a group of tasks failed with, where that is one thing; else the group."""
    inner: BaseException = group
    while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
        inner = inner.exceptions[0]
    return inner


def _show(error: BaseException) -> int:
    """Say what went wrong; its exit code. What nobody expected is raised."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return 2
        case click.ClickException():
            return _show_usage_error(error)
        case click.Abort() | KeyboardInterrupt():
            return INTERRUPTED
        case errors.PhasedError():
            return _show_error(error)
        case _:
            raise error


def _show_usage_error(error: click.ClickException) -> int:
    """As click does, in the words of this program."""
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(context.get_usage(), err=True)
    message = error.format_message()
    cannot = message if message.startswith("cannot ") else f"cannot understand the command line: {message}"
    click.echo(f"phased: {cannot}", err=True)
    if context is not None:
        click.echo(f"Try '{context.command_path} --help' for help.", err=True)
    return 2


def _show_error(error: errors.PhasedError) -> int:
    if isinstance(error, errors.InvalidFile):
        from phased.cli.diagnostics import write_diagnostics  # noqa: PLC0415 - only for this error

        write_diagnostics(error.file, error.diagnostics)  # type: ignore[arg-type] # errors imports nothing of ours
    click.echo(f"phased: {error}", err=True)
    return exit_code(error)


def exit_code(error: errors.PhasedError) -> int:
    """The exit code of an error: its own, else that of the nearest base that has one."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def _forget_output() -> None:
    """Point standard output at nothing, else Python fails when it flushes it at exit (Python's `signal`)."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
