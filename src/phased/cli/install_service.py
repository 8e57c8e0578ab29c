"""`phased install-service`: make the daemon a service of systemd.

Knows where unit files lie and `systemctl`. What is in them, `units` knows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from phased.cli.options import Common, common_options
from phased.cli.units import SERVICE, SOCKET, Place, service_unit, socket_unit
from phased.errors import FailedPrecondition, FileUnreadable

_SYSTEM_UNITS: Final = Path("/etc/systemd/system")


@click.command("install-service", short_help="Make the daemon a service of systemd.")
@click.option("--user", "of_user", is_flag=True, help="A service of yours alone, instead of the machine's.")
@click.option("--now", is_flag=True, help="Enable and start it, too.")
@click.option("--dry-run", is_flag=True, help="Only show what would be written and done.")
@click.option("--remove", is_flag=True, help="Stop it and remove its unit files; state and settings stay.")
@common_options
def install_service(common: Common, of_user: bool, now: bool, dry_run: bool, remove: bool) -> int:
    """Write phased.service and phased.socket, and have systemd read them.

    The machine's service is root's and runs each step as the owner of its workspace. Name a workspace with
    -C, else it has one of its own. Without --now, enable one of the two units: the service starts with the
    machine, the socket starts it at the first call.

    Examples:
      phased install-service --dry-run
      sudo phased install-service --now
      phased install-service --user --now -C ~/project
    """
    folder = _user_units() if of_user else _SYSTEM_UNITS
    systemctl = ["systemctl", *(["--user"] if of_user else [])]
    if remove:
        return _remove(common, folder, systemctl, dry_run=dry_run)
    place = Place(_program(), _workspace(common), of_user)
    files = {folder / SERVICE: service_unit(place), folder / SOCKET: socket_unit(place)}
    commands = [[*systemctl, "daemon-reload"], *([[*systemctl, "enable", "--now", SERVICE]] if now else [])]
    if dry_run:
        for path, text in files.items():
            click.echo(f"# {path}\n{text}")
        for command in commands:
            click.echo(f"# then: {' '.join(command)}")
        return 0
    for path, text in files.items():
        _write(path, text)
        common.note(f"wrote {path}")
    for command in commands:
        _carry_out(command)
    if not now:
        click.echo(f"enable it with: {' '.join([*systemctl, 'enable', '--now', SERVICE])}  (or {SOCKET})")
    if of_user:
        common.note("so that it lives on when you log out: loginctl enable-linger")
    return 0


def _remove(common: Common, folder: Path, systemctl: list[str], *, dry_run: bool) -> int:
    paths = [path for path in (folder / SERVICE, folder / SOCKET) if path.exists()]
    if dry_run or not paths:
        click.echo("\n".join(f"# would remove {path}" for path in paths) or "nothing is installed")
        return 0
    _carry_out([*systemctl, "disable", "--now", *(path.name for path in reversed(paths))])
    for path in paths:
        try:
            path.unlink()
        except OSError as error:
            raise FileUnreadable(f"cannot remove {path}: {error.strerror}; {_who(folder)}") from error
        common.note(f"removed {path}")
    _carry_out([*systemctl, "daemon-reload"])
    return 0


def _program() -> str:
    """The command that this process was started as, absolute. Raises FailedPrecondition."""
    beside = Path(sys.executable).with_name("phased")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("phased")
    if found is None:
        raise FailedPrecondition(
            "cannot install a service: there is no command phased beside this Python or on the PATH; "
            "install the package first"
        )
    return str(Path(found).absolute())


def _workspace(common: Common) -> str:
    return str(common.workspace) if common.said("directory") is not None else ""


def _user_units() -> Path:
    from phased.settings import user_configuration  # noqa: PLC0415 - `--help` should not pay for it

    base = user_configuration()
    if base is None:
        raise FailedPrecondition(
            "cannot find a place for the unit: neither XDG_CONFIG_HOME nor HOME names a directory; set HOME"
        )
    return base / "systemd" / "user"


def _write(path: Path, text: str) -> None:
    """Whole or not at all. Raises FileUnreadable."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise FileUnreadable(f"cannot write {path}: {error.strerror}; {_who(path.parent)}") from error


def _who(folder: Path) -> str:
    return "do it as root, or use --user" if folder == _SYSTEM_UNITS else "look at the folder's permissions"


def _carry_out(command: list[str]) -> None:
    """Raises FailedPrecondition where systemd is not there or refuses."""
    shown = " ".join(command)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = getattr(error, "strerror", None) or "no answer within five minutes"
        raise FailedPrecondition(
            f"cannot carry out `{shown}`: {reason}; is systemd there? The files are written"
        ) from error
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise FailedPrecondition(f"cannot carry out `{shown}`: {said}; look at `{command[0]} status phased`")
