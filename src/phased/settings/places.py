"""The places where things lie by convention, and the environment of this process.

Knows variables and conventions; reads `os.environ`, as no other module does. Must not know the settings.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from phased.errors import SettingsError

_RELOADED = "_PHASED_RELOADED"
_STREAM = "_PHASED_STREAM"


def environment() -> Mapping[str, str]:
    """The variables that this process was started with."""
    return os.environ


def default_state_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Where state lies when nobody says otherwise. Raises SettingsError where there is no such place.

    systemd tells a service of its directory in STATE_DIRECTORY (systemd.exec(5)); the XDG base directory
    specification says that relative paths are to be ignored.
    """
    environ = os.environ if environ is None else environ
    if given := _service_directory(environ, "STATE_DIRECTORY"):
        return given
    base = environ.get("XDG_STATE_HOME", "")
    if base.startswith("/"):
        return Path(base) / "phased"
    own = home(environ)
    if own is None:
        raise SettingsError(
            "cannot find a place for the state: neither XDG_STATE_HOME nor HOME names a directory; "
            "give --state-dir"
        )
    return own / ".local" / "state" / "phased"


def default_socket(state_directory: Path, environ: Mapping[str, str] | None = None) -> Path:
    """Where the daemon's socket lies when nobody says otherwise."""
    environ = os.environ if environ is None else environ
    if given := _service_directory(environ, "RUNTIME_DIRECTORY"):
        return given / "phased.sock"
    base = environ.get("XDG_RUNTIME_DIR", "")
    return Path(base) / "phased.sock" if base.startswith("/") else state_directory / "phased.sock"


def _service_directory(environ: Mapping[str, str], variable: str) -> Path | None:
    """The directory that systemd made for this service; another service's, inherited, is not ours."""
    first = Path(environ.get(variable, "").split(":", 1)[0])
    return first if first.is_absolute() and first.name == "phased" else None


def home(environ: Mapping[str, str]) -> Path | None:
    """The user's home: HOME, else the entry in the user database, else None."""
    found = environ.get("HOME", "")
    if found.startswith("/"):
        return Path(found)
    import pwd  # noqa: PLC0415 - only where HOME is missing

    try:
        found = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return Path(found) if found.startswith("/") else None


def base_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What steps inherit: this process's environment without phased's own variables and secrets."""
    environ = os.environ if environ is None else environ
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PHASED_", "_PHASED_")) and name != "GITPOD_ENVIRONMENT_ID"
    }


def service_notices(environ: Mapping[str, str] | None = None) -> tuple[str, float | None]:
    """Where the service manager is told how it goes, and after how many seconds of silence it gives up.

    "" is nowhere, None is never. Source: sd_notify(3), sd_watchdog_enabled(3).
    """
    environ = os.environ if environ is None else environ
    text = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
    patience = int(text) / 1_000_000 if meant and re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else None
    return environ.get("NOTIFY_SOCKET", ""), patience or None


def journal_stream(environ: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """Device and inode of the stream that the service manager connected to its journal (systemd.exec(5))."""
    environ = os.environ if environ is None else environ
    found = re.fullmatch(r"([0-9]{1,20}):([0-9]{1,20})", environ.get("JOURNAL_STREAM", ""), re.ASCII)
    return None if found is None else (int(found[1]), int(found[2]))


def user_configuration(environ: Mapping[str, str] | None = None) -> Path | None:
    """The user's folder of settings: $XDG_CONFIG_HOME, else ~/.config; None without a home."""
    environ = os.environ if environ is None else environ
    base = environ.get("XDG_CONFIG_HOME", "")
    own = home(environ)
    return Path(base) if base.startswith("/") else own / ".config" if own else None


def service_sockets(environ: Mapping[str, str] | None = None) -> int:
    """How many listening sockets the service manager passed to this process. Source: sd_listen_fds(3)."""
    environ = os.environ if environ is None else environ
    count = environ.get("LISTEN_FDS", "")
    ours = environ.get("LISTEN_PID", "") == str(os.getpid())
    return int(count) if ours and re.fullmatch(r"[0-9]{1,4}", count, re.ASCII) else 0


def environment_after_reload(sockets: int, lock: int, sequence: int, *, owns_path: bool) -> dict[str, str]:
    """This process's environment, as the program that takes its place finds it.

    `reloaded` and `reloaded_sequence` read it; two variables, as earlier versions know the first alone.
    """
    pid = os.getpid()
    handed = {"LISTEN_PID": str(pid), "LISTEN_FDS": str(sockets), _STREAM: f"{pid}:{sequence}"}
    return {**os.environ, **handed, _RELOADED: f"{pid}:{lock}:{int(owns_path)}"}


def reloaded(environ: Mapping[str, str] | None = None) -> tuple[int, bool] | None:
    """What an earlier version handed over in this process; None where it began as it is.

    The descriptor of the lock, and whether the path of the unix socket is the daemon's own to remove.
    """
    environ = os.environ if environ is None else environ
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,9}):([01])", environ.get(_RELOADED, ""), re.ASCII)
    if found is None or found[1] != str(os.getpid()):
        return None
    return int(found[2]), found[3] == "1"


def reloaded_sequence(environ: Mapping[str, str] | None = None) -> int | None:
    """The number of the last event that an earlier version told in this process; None as `reloaded`."""
    environ = os.environ if environ is None else environ
    found = re.fullmatch(r"([0-9]{1,9}):([0-9]{1,18})", environ.get(_STREAM, ""), re.ASCII)
    return int(found[2]) if found is not None and found[1] == str(os.getpid()) else None


def is_service(environ: Mapping[str, str] | None = None) -> bool:
    """Whether systemd itself started this process, and not one that it started (systemd.exec(5))."""
    environ = os.environ if environ is None else environ
    return environ.get("SYSTEMD_EXEC_PID", "") == str(os.getpid())


def has_display(environ: Mapping[str, str] | None = None) -> bool:
    """Whether there may be a browser: a graphical session, or one that BROWSER names."""
    environ = os.environ if environ is None else environ
    return any(environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))


def credentials_directory(environ: Mapping[str, str] | None = None) -> Path | None:
    """Where systemd put this service's credentials (systemd.exec(5)), None where it put none."""
    environ = os.environ if environ is None else environ
    text = environ.get("CREDENTIALS_DIRECTORY", "")
    return Path(text) if text.startswith("/") else None


def wants_no_color(environ: Mapping[str, str] | None = None) -> bool:
    """Whether NO_COLOR (no-color.org: present and not empty) or a dumb terminal forbids colour."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("NO_COLOR")) or environ.get("TERM", "") == "dumb"
