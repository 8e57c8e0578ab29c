"""`phased store`: look after the state on disk, with a daemon or without.

Knows the state directory and what can be done to its state. Must not know how that is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters

if TYPE_CHECKING:
    from phased.store.state_directory import StateDirectory

store = LazyGroup(
    {
        "check": ("store:check", "Say whether the state is whole."),
        "backup": ("store:backup", "Copy the state into a file."),
        "restore": ("store:restore", "Put a backup in the state's place."),
        "repair": ("store:repair", "Save what can be read of a damaged state."),
    },
    name="store",
    short_help="The state on disk: check, backup, restore, repair.",
    help="Look after the state: what is defined, the history, secrets (encrypted) and tokens. The logs, and "
    "the key of the secrets, are files of their own in the state directory, and no part of it.",
    params=common_parameters(),
)

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("check", short_help="Say whether the state is whole.")
@click.argument("path", metavar="[FILE]", required=False, type=_FILE)
@common_options
def check(common: Common, path: Path | None) -> int:
    """Read all of the state, or of the backup FILE, and say what is wrong with it. A daemon may be running.

    Examples:
      phased store check
      phased store check /backups/phased.db
    """
    from phased.store import upkeep  # noqa: PLC0415 - `--help` should not pay for it

    file = path or _state(common).database
    problems = upkeep.check(file)
    lines = [f"{file}: {problem}" for problem in problems] or [f"{file}: nothing is wrong"]
    if problems:
        common.note(
            "`phased store repair` saves what can be read, `phased store restore FILE` takes a backup"
        )
    _answer(common, {"file": str(file), "valid": not problems, "problems": problems}, lines)
    return 1 if problems else 0


@click.command("backup", short_help="Copy the state into a file.")
@click.argument("path", metavar="FILE", type=_FILE)
@common_options
def backup(common: Common, path: Path) -> int:
    """Copy the state, as it is at one moment, into the new file FILE. A daemon may be running.

    Examples:
      phased store backup /backups/phased.db
    """
    from phased.store import upkeep  # noqa: PLC0415 - see check

    upkeep.backup(_state(common).database, path.absolute())
    size = path.stat().st_size
    _answer(common, {"file": str(path), "bytes": size}, [f"{path}: {size} bytes"])
    return 0


@click.command("restore", short_help="Put a backup in the state's place.")
@click.argument("path", metavar="FILE", type=_FILE)
@common_options
def restore(common: Common, path: Path) -> int:
    """Put a copy of the backup FILE in the state's place; the daemon must not run. The former state is kept.

    Examples:
      phased store restore /backups/phased.db
    """
    from phased.store import upkeep  # noqa: PLC0415 - see check

    state = _state(common)
    state.create()
    with state.hold():
        former = upkeep.restore(state.database, path.absolute())
    lines = [f"{state.database}: restored from {path}"]
    lines += [f"{former}: the state as it was"] if former else []
    _answer(common, {"file": str(state.database), "former": None if former is None else str(former)}, lines)
    return 0


@click.command("repair", short_help="Save what can be read of a damaged state.")
@common_options
def repair(common: Common) -> int:
    """Put a new state, with all that can be read of a damaged one, in its place; the daemon must not run.

    The damaged state is kept. Where there is a backup, restoring that may be better: see what is lost.

    Examples:
      phased store repair
    """
    from phased.store import mending  # noqa: PLC0415 - see check

    state = _state(common)
    state.create()
    with state.hold():
        done = mending.repair(state.database)
    if done.former is None:
        _answer(
            common, {"file": str(state.database), "former": None}, [f"{state.database}: nothing is wrong"]
        )
        return 0
    lines = [f"{state.database}: repaired", f"{done.former}: the state as it was"]
    lines += [f"{table}: {count} kept" for table, count in done.saved.items() if count]
    lines += [f"executions that were torn and are gone: {done.torn}"] if done.torn else []
    facts = {"former": str(done.former), "kept": dict(done.saved), "torn": done.torn}
    _answer(common, {"file": str(state.database), **facts}, lines)
    return 0


def _state(common: Common) -> StateDirectory:
    from phased import daemon  # noqa: PLC0415 - see check

    return daemon.state_directory(common.settings)


def _answer(common: Common, value: dict[str, Any], lines: list[str]) -> None:
    if common.output == "text":
        for line in lines:
            click.echo(line)
        return
    from phased.cli.answer import write_value  # noqa: PLC0415 - only for this format

    write_value(value, common.output)
