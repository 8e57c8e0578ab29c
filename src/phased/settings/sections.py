"""Every setting: its default, its meaning and its bounds. Here is where one is added.

A setting is a field made with `setting(...)` in a section; a section is a frozen dataclass that `Settings`
names. Everything else (the variable, `phased config show`, the reference page, the check of
configs/phased.toml) follows from that. Must not know what the settings are used for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from phased.settings.places import default_socket, default_state_directory
from phased.settings.values import Setting, setting, size


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
    user: str = setting(
        "",
        "The user, by name or uid, as whom a daemon of root runs steps. Empty: the owner of the workspace.",
    )
    log_budget: int = setting(
        1024**3,
        "Bytes that are kept of a step's log, as 100MiB: while it writes more, the oldest are dropped, and "
        "whoever reads it is told. 0: all.",
        least=0,
        parse=size,
    )
    cgroup: str = setting(
        "auto",
        "Where each step gets a cgroup of its own, so that a stop ends all of it at once. auto: in the "
        "daemon's own cgroup of version 2, where that was delegated (Delegate=yes of systemd). off: nowhere. "
        "Else a directory below /sys/fs/cgroup.",
    )
    kill_timeout: float = setting(
        10.0, "How long SIGKILL has to end what is left, before that is given up and said.", least=0
    )


@dataclass(frozen=True, slots=True)
class DockerSettings:
    """How steps run whose `runsOn` names a container."""

    engine: str = setting(
        "docker", "The client of the container engine: docker or podman, by name or path. It must be in PATH."
    )
    host: str = setting(
        "",
        "Where the engine is reached, as unix:///run/docker.sock. Empty: as the client finds it by itself "
        "(DOCKER_HOST).",
    )
    network: str = setting(
        "",
        "The network of containers, where the environment's class names none. Empty: the engine's default.",
    )
    pull_policy: str = setting(
        "missing",
        "When images are pulled, where the environment's class does not say it.",
        choices=("missing", "always", "never"),
    )
    options: tuple[str, ...] = setting(
        (), "Further options of every container, each one argument of `docker run`, as --memory=1g."
    )
    patience: float = setting(
        60.0,
        "How long the engine may be away, while it restarts, before its containers are given up.",
        least=0,
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
class AccessSettings:
    """Who may use the daemon beside its own user and root, who are ADMIN."""

    users: tuple[str, ...] = setting(
        (),
        "Local users, by name or uid, and what they are: ADMIN (everything), MEMBER (environments of their "
        "own), SUSPENDED or LEFT (refused). As alice=MEMBER.",
    )
    groups: tuple[str, ...] = setting(
        (),
        "Unix groups, by name or gid, and the role that who is in them has. As "
        "staff=RESOURCE_ROLE_ENVIRONMENT_VIEWER.",
    )


@dataclass(frozen=True, slots=True)
class OrganizationSettings:
    """What clients are told of the organization."""

    tier: str = setting("", "A name of OrganizationTier, as ORGANIZATION_TIER_CORE. Empty: none.")
    region: str = setting("", "The region that is told of every address of the daemon. Empty: none.")


def _tables(raw: object) -> tuple[Mapping[str, Any], ...]:
    """A list of tables, in a variable as JSON."""
    if isinstance(raw, str):
        import json  # noqa: PLC0415 - only for a variable

        try:
            raw = json.loads(raw)
        except ValueError:
            raise ValueError("it is a list of tables; in a variable, write JSON") from None
    if isinstance(raw, list | tuple) and all(isinstance(one, dict) for one in raw):
        return tuple(raw)
    raise ValueError("it is a list of tables")


@dataclass(frozen=True, slots=True)
class EnvironmentSettings:
    """What environments can be made of."""

    classes: tuple[Mapping[str, Any], ...] = setting(
        (),
        "Environment classes beside local, or instead of it: tables with name, display_name, description, "
        "enabled and configuration (image, network, pullPolicy).",
        parse=_tables,
    )
    preferred: tuple[Mapping[str, Any], ...] = setting(
        (),
        "Which class a new environment gets: tables with class or localRunner = true, and order, the lowest "
        "first.",
        parse=_tables,
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the program says of itself, on standard error; as a service, with fields in systemd's journal."""

    level: str = setting(
        "warning",
        "The least important events that are written.",
        choices=("debug", "info", "warning", "error"),
    )
    format: str = setting("text", "How events are written.", choices=("text", "json"))


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """What is kept and shown of the past. What runs is never touched."""

    limit: int = setting(100, "Executions that `phased executions` shows without --limit.", least=1)
    keep_count: int = setting(
        10_000, "Executions that are kept; older ones are forgotten, with their logs. 0: all.", least=0
    )
    keep_age: float = setting(
        0.0, "How long executions that have ended are kept, as 30d. 0: for ever.", least=0
    )
    keep_size: int = setting(
        10 * 1024**3,
        "Bytes on disk that all logs may take, as 10GiB. Beyond it the oldest executions are forgotten, then "
        "the beginnings of the longest logs are dropped, also while they are written. 0: no limit.",
        least=0,
        parse=size,
    )


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
class WebSettings:
    """The page that shows what runs, for a browser. `phased web` prints an address that logs in."""

    enabled: bool = setting(False, "Whether the daemon serves the page.")
    address: str = setting(
        "",
        "HOST:PORT of the page, as 127.0.0.1:7000. Empty: 127.0.0.1 and a port that stays the same as long "
        "as it is free. Another than a loopback address needs listen.remote, and takes listen.certificate.",
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
    docker: DockerSettings = DockerSettings()
    services: ServiceSettings = ServiceSettings()
    store: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    history: HistorySettings = HistorySettings()
    access: AccessSettings = AccessSettings()
    organization: OrganizationSettings = OrganizationSettings()
    environments: EnvironmentSettings = EnvironmentSettings()
    listen: ListenSettings = ListenSettings()
    web: WebSettings = WebSettings()
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
