"""Every setting: its default, its meaning, its bounds, and where its value came from. Standard library only.

Knows files of settings, environment variables and the places where things lie by convention; the one module
that reads `os.environ`. Must not know what the settings are used for.

A later one wins: default < file < environment < flag. A new setting is a field made with `setting(...)` in a
section; a new section is a frozen dataclass named in `Settings`. Everything else (the environment's name for
it, `phased config show`, the reference page, the check of configs/phased.toml) follows from that.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from phased.errors import FileUnreadable, SettingsError

SYSTEM_FILE = Path("/etc/phased/phased.toml")
"""Read before the user's own file, where it exists."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h|d))")

T = TypeVar("T")
Value = Any
"""What a setting may be: bool, int, float (seconds), str, a tuple of str, or what its `parse` makes."""


def setting(
    default: T,
    meaning: str,
    *,
    least: float | None = None,
    choices: tuple[str, ...] = (),
    variable: str | None = None,
    parse: Callable[[object], T] | None = None,
) -> T:
    """A field of a section. The default's type says what is read: a float is a duration in seconds.

    `meaning` is one sentence or more for people; `variable` replaces the name PHASED_SECTION_KEY; `parse`
    takes what the file or the environment holds and raises ValueError with a phrase where it is bad.
    """
    metadata = {"meaning": meaning, "least": least, "choices": choices, "variable": variable, "parse": parse}
    made: T = field(default=default, metadata=metadata)
    return made


@dataclass(frozen=True, slots=True)
class PathSettings:
    """Where things lie."""

    state_dir: str = setting(
        "",
        "Directory of the state, history and logs. Empty: $XDG_STATE_HOME/phased, else "
        "~/.local/state/phased; as a system service /var/lib/phased.",
        variable="PHASED_STATE_DIR",
    )
    socket: str = setting(
        "",
        "The daemon's socket. Empty: $XDG_RUNTIME_DIR/phased.sock, else phased.sock in the state directory; "
        "as a system service /run/phased/phased.sock.",
        variable="PHASED_SOCKET",
    )


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How steps run."""

    shell: str = setting(
        "", "The shell that runs commands, as SHELL -c COMMAND. Empty: bash if present, else sh."
    )
    max_parallel: int = setting(64, "Steps of one execution that run at the same time.", least=1)
    stop_timeout: float = setting(
        10.0,
        "How long the processes of a step have to end after SIGTERM, before they are killed.",
        least=0,
    )
    kill_timeout: float = setting(
        10.0, "How long SIGKILL has to end what is left, before that is given up and said.", least=0
    )


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How services end."""

    stop_timeout: float = setting(
        120.0,
        "How long a service without a stop command has to end after SIGTERM, before it is killed.",
        least=0,
    )
    stop_command_timeout: float = setting(
        120.0, "How long a stop command may take, before it and its service are killed.", least=0
    )


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """How the state is kept."""

    synchronous: str = setting(
        "normal",
        "What a loss of power may cost. normal: the newest progress; full: nothing, but each commit waits "
        "for the disk.",
        choices=("normal", "full"),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the program says of itself, on standard error."""

    level: str = setting(
        "warning",
        "The least important events that are written.",
        choices=("debug", "info", "warning", "error"),
    )
    format: str = setting("text", "How events are written.", choices=("text", "json"))


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """What is shown of the past."""

    limit: int = setting(100, "Executions that `phased executions` shows without --limit.", least=1)


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where the daemon is reached beside its socket. A token is always needed there."""

    address: str = setting(
        "", "HOST:PORT to listen on, as 127.0.0.1:7000; port 0 takes a free one. Empty: only the socket."
    )
    hosts: tuple[str, ...] = setting(
        (),
        "Names, with port where it is not the scheme's own, under which clients may ask for it beside the "
        "address itself. Requests for other names are refused, so that no web page reaches the daemon.",
    )
    certificate: str = setting("", "File with the TLS certificate and its chain, PEM. Empty: no TLS.")
    key: str = setting("", "File with the certificate's private key, PEM. Empty: it is in the same file.")
    remote: bool = setting(
        False, "Whether the address may be another than a loopback one. Without TLS tokens travel in clear."
    )


@dataclass(frozen=True, slots=True)
class DaemonSettings:
    """How the daemon ends."""

    on_stop: str = setting(
        "stop",
        "What becomes of running work when the daemon is told to end. stop: it is stopped; keep: it goes on, "
        "and the next daemon takes it over.",
        choices=("stop", "keep"),
    )
    stop_timeout: float = setting(
        90.0, "How long the daemon waits for work that it stops, before it ends nevertheless.", least=0
    )
    drain_timeout: float = setting(
        5.0, "How long answers that have begun may take once the daemon ends.", least=0
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All sections, and of each value where it came from."""

    paths: PathSettings = PathSettings()
    run: RunSettings = RunSettings()
    services: ServiceSettings = ServiceSettings()
    store: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    history: HistorySettings = HistorySettings()
    listen: ListenSettings = ListenSettings()
    daemon: DaemonSettings = DaemonSettings()
    origins: Mapping[str, str] = field(default_factory=dict)
    """By `section.key`; what is missing is the default."""

    def origin(self, name: str) -> str:
        """Where the value of `section.key` is from: `default`, `file PATH`, `environment NAME`, `flag X`."""
        return self.origins.get(name, "default")

    @property
    def state_directory(self) -> Path:
        """The state directory, absolute. Raises SettingsError where no place can be found for it."""
        return Path(self.paths.state_dir).absolute() if self.paths.state_dir else default_state_directory()

    @property
    def socket_path(self) -> Path:
        """The daemon's socket, absolute. Raises SettingsError where no place can be found for it."""
        return (
            Path(self.paths.socket).absolute() if self.paths.socket else default_socket(self.state_directory)
        )


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as documents and messages need it."""

    section: str
    key: str
    default: Value
    meaning: str
    least: float | None
    choices: tuple[str, ...]
    variable: str
    parse: Callable[[object], Value] | None

    @property
    def name(self) -> str:
        """`section.key`."""
        return f"{self.section}.{self.key}"

    def read(self, raw: object) -> Value:
        """The value that a file's entry or a variable's text means. Raises ValueError with a phrase."""
        if self.parse is not None:
            return self.parse(raw)
        value = _read(self.default, raw)
        if self.choices and value not in self.choices:
            near = difflib.get_close_matches(str(value), self.choices, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"it is one of {', '.join(self.choices)}, not {value!r}{hint}")
        if self.least is not None and value < self.least:
            raise ValueError(f"it is at least {self.least:g}, not {value:g}")
        return value


def sections() -> dict[str, type]:
    """The class of each section, by the section's name, in order."""
    blank = Settings()
    return {f.name: type(getattr(blank, f.name)) for f in fields(Settings) if f.name != "origins"}


def all_settings() -> Iterator[Setting]:
    """Every setting, in order."""
    for section, kind in sections().items():
        for item in fields(kind):
            yield _setting(section, item)


def _setting(section: str, item: Field[Any]) -> Setting:
    facts = item.metadata
    variable = facts["variable"] or f"PHASED_{section}_{item.name}".upper()
    return Setting(
        section,
        item.name,
        item.default,
        facts["meaning"],
        facts["least"],
        facts["choices"],
        variable,
        facts["parse"],
    )


def load(
    config: Path | None = None,
    *,
    flags: Mapping[str, tuple[Value, str]] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read all sources.

    `config` replaces the files that are looked for. `flags` holds by `section.key` the value and the name of
    the option. Raises SettingsError naming the file or variable, the key and what is likely meant;
    FileUnreadable for a file that was named and cannot be read.
    """
    environ = os.environ if environ is None else environ
    known = {item.name: item for item in all_settings()}
    found: dict[str, tuple[Value, str]] = {}
    for file in [config] if config else _files(environ):
        found.update(_from_file(file, known))
    found.update(_from_environment(environ, known))
    found.update({name: (value, f"flag {flag}") for name, (value, flag) in (flags or {}).items()})
    values: dict[str, dict[str, Value]] = {}
    for name, (value, _) in found.items():
        values.setdefault(known[name].section, {})[known[name].key] = value
    made = {section: kind(**values.get(section, {})) for section, kind in sections().items()}
    return Settings(**made, origins={name: origin for name, (_, origin) in found.items()})


def _files(environ: Mapping[str, str]) -> list[Path]:
    base = environ.get("XDG_CONFIG_HOME", "")
    home = _home(environ)
    own = Path(base) if base.startswith("/") else home / ".config" if home else None
    candidates = [SYSTEM_FILE, *([own / "phased" / "phased.toml"] if own else [])]
    return [file for file in candidates if _exists(file)]


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False


def _from_file(file: Path, known: Mapping[str, Setting]) -> dict[str, tuple[Value, str]]:
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        with file.open("rb") as opened:
            document = tomllib.load(opened)
    except OSError as error:
        raise FileUnreadable(
            f"cannot read the settings in {file}: {error.strerror}; mend or remove it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings in {file}: {error}") from error
    found: dict[str, tuple[Value, str]] = {}
    for section, table in document.items():
        _refuse_unknown(file, section, sections(), "section")
        if not isinstance(table, dict):
            raise SettingsError(f"cannot use {section} in {file}: it is a section; write it as [{section}]")
        for key, raw in table.items():
            keys = {item.key: item for item in known.values() if item.section == section}
            _refuse_unknown(file, f"{section}.{key}", {f"{section}.{name}": 0 for name in keys}, "setting")
            found[f"{section}.{key}"] = (_value(keys[key], raw, f"in {file}"), f"file {file}")
    return found


def _refuse_unknown(file: Path, name: str, known: Mapping[str, object], noun: str) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, list(known), n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise SettingsError(f"cannot use {name} in {file}: there is no such {noun}; {hint}")


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Setting]
) -> Iterator[tuple[str, tuple[Value, str]]]:
    """What is set to nothing counts as not set. Only a likely typing error of a name is refused.

    Steps find other variables that begin with PHASED_ (`semantics: Environment of a step`).
    """
    names = {item.variable: item for item in known.values()}
    for variable, text in environ.items():
        if not variable.startswith("PHASED_") or not text:
            continue
        if (item := names.get(variable)) is not None:
            yield item.name, (_value(item, text, f"from {variable}"), f"environment {variable}")
        elif near := _mistyped(variable, names):
            raise SettingsError(
                f"cannot use the variable {variable}: there is no such setting; did you mean {near}?"
            )


def _mistyped(variable: str, names: Mapping[str, Setting]) -> str | None:
    if not any(variable.startswith(f"PHASED_{section}_".upper()) for section in sections()):
        return None
    near = difflib.get_close_matches(variable, list(names), n=1, cutoff=0.9)
    return near[0] if near else None


def _value(item: Setting, raw: object, where: str) -> Value:
    try:
        return item.read(raw)
    except ValueError as error:
        raise SettingsError(f"cannot use {item.name} {where}: {error}") from error


def _read(default: Value, raw: object) -> Value:
    """By the type of the default; text (of a variable) is understood as well as the file's own types."""
    match default:
        case bool():
            return _boolean(raw)
        case int():
            return _integer(raw)
        case float():
            return duration(raw)
        case str():
            return _text(raw)
        case tuple():
            return _texts(raw)
        case _:
            raise TypeError(f"a setting of type {type(default).__name__} needs its own parse")


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    words = {
        "true": True,
        "yes": True,
        "1": True,
        "on": True,
        "false": False,
        "no": False,
        "0": False,
        "off": False,
    }
    if isinstance(raw, str) and raw.lower() in words:
        return words[raw.lower()]
    raise ValueError(f"it is true or false, not {raw!r}")


def _integer(raw: object) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"[+-]?\d{1,18}", raw.strip(), re.ASCII):
        return int(raw)
    raise ValueError(f"it is a whole number, not {raw!r}")


def duration(raw: object) -> float:
    """Seconds: from a number of seconds, or text as `1.5s`, `10m`, `1h30m`. Raises ValueError."""
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw) and raw >= 0:
        return float(raw)
    if isinstance(raw, str):
        text = raw.strip()
        if re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", text, re.ASCII):
            return float(text)
        parts = _DURATION.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    raise ValueError(f"it is a duration as 30s, 10m or 1h30m, not {raw!r}")


def _text(raw: object) -> str:
    if isinstance(raw, str) and "\0" not in raw:
        return raw
    raise ValueError(f"it is text, not {raw!r}")


def _texts(raw: object) -> tuple[str, ...]:
    if isinstance(raw, str):
        return tuple(part.strip() for part in raw.split(",") if part.strip())
    if isinstance(raw, list) and all(isinstance(part, str) for part in raw):
        return tuple(raw)
    raise ValueError(f"it is a list of text, not {raw!r}")


# ---- places and the environment --------------------------------------------------------------------


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
    home = _home(environ)
    if home is None:
        raise SettingsError(
            "cannot find a place for the state: neither XDG_STATE_HOME nor HOME names a directory; "
            "give --state-dir"
        )
    return home / ".local" / "state" / "phased"


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


def _home(environ: Mapping[str, str]) -> Path | None:
    home = environ.get("HOME", "")
    if home.startswith("/"):
        return Path(home)
    import pwd  # noqa: PLC0415 - only where HOME is missing

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return Path(home) if home.startswith("/") else None


def base_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What steps inherit: this process's environment without phased's own variables and secrets."""
    environ = os.environ if environ is None else environ
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("PHASED_", "_PHASED_")) and name != "GITPOD_ENVIRONMENT_ID"
    }


def service_notices(environ: Mapping[str, str] | None = None) -> tuple[str, float | None]:
    """Where the service manager is told how it goes ("" : nowhere), and after how many seconds of silence it
    gives the service up (None: never). Source: sd_notify(3), sd_watchdog_enabled(3).
    """
    environ = os.environ if environ is None else environ
    text = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
    patience = int(text) / 1_000_000 if meant and re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else None
    return environ.get("NOTIFY_SOCKET", ""), patience or None


def wants_no_color(environ: Mapping[str, str] | None = None) -> bool:
    """Whether NO_COLOR (no-color.org: present and not empty) or a dumb terminal forbids colour."""
    environ = os.environ if environ is None else environ
    return bool(environ.get("NO_COLOR")) or environ.get("TERM", "") == "dumb"
