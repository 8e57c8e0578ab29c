"""`phased update`: apply an automations file to an environment of the daemon.

Knows the file and what the daemon answers. Must not know what applying means.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from phased.cli import showing
from phased.cli.connection import connected
from phased.cli.diagnostics import write_diagnostics
from phased.cli.options import STANDARD_INPUT, Common, common_options
from phased.contract.phased_v1 import ApplyFileRequest, ApplyFileResponse
from phased.errors import FileUnreadable

_MOST = 2 * 1024 * 1024
"""Characters that the daemon takes."""


@click.command("update", short_help="Apply an automations file to the daemon.")
@click.argument("named", metavar="[FILE|-]", required=False)
@click.option("--prune", is_flag=True, help="Delete the tasks and services that the file does not have.")
@click.option("--lenient", is_flag=True, help="Unknown keys in the file are warnings.")
@common_options
def update(common: Common, named: str | None, prune: bool, lenient: bool) -> int:
    """Apply an automations file: tasks and services are made or changed by their reference.

    What the file no longer has stays, unless --prune; executions that run are untouched.

    Examples:
      phased update
      phased update .ona/automations.yaml --prune
      generate-tasks | phased update -
    """
    text = _text(common, named, lenient=lenient)
    with connected(common) as daemon:
        request = ApplyFileRequest(
            environment_id=daemon.environment_id, content=text, prune=prune or None, lenient=lenient or None
        )
        answer = daemon.client.apply_file(request)
        if common.output != "text":
            showing.write_message(common, answer)
        else:
            click.echo(_summary(answer))
    return 0


def _text(common: Common, named: str | None, *, lenient: bool) -> str:
    """The file's text, checked here, so that errors have their place. Raises FileUnreadable, InvalidFile."""
    from phased import loader  # noqa: PLC0415 - heavier than `--help` should be

    name = named if named is not None else common.file
    if name == STANDARD_INPUT:
        raw = sys.stdin.buffer.read(_MOST * 4) if sys.stdin else b""
        loaded = loader.read(None, text=raw, lenient=lenient)
    else:
        path = Path(name) if name is not None else loader.find(common.workspace)
        loaded = loader.read(path, lenient=lenient)
        raw = path.read_bytes()
    loader.definitions(loaded)
    if not common.quiet:
        write_diagnostics(loaded.file, loaded.diagnostics)
    text = raw.decode("utf-8-sig")
    if len(text) > _MOST:
        raise FileUnreadable(f"cannot send {loaded.file}: it has more than {_MOST} characters")
    return text


def _summary(answer: ApplyFileResponse) -> str:
    counts = (
        (len(answer.updated_task_ids), "task", "applied"),
        (len(answer.updated_service_ids), "service", "applied"),
        (len(answer.deleted_task_ids), "task", "deleted"),
        (len(answer.deleted_service_ids), "service", "deleted"),
    )
    said = [f"{count} {noun}{'' if count == 1 else 's'} {what}" for count, noun, what in counts if count]
    return ", ".join(said) or "nothing to change"
