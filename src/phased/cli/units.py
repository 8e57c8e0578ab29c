"""The unit files of the service manager, as text: what `install-service` writes and `configs/` holds.

Knows systemd's directives and why each is there. Must not know this machine. The files below `configs/` are
these texts for a program in /usr/bin; a test holds them equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SERVICE: Final = "phased.service"
SOCKET: Final = "phased.socket"


@dataclass(frozen=True, slots=True)
class Place:
    """What a unit needs to know of the machine it is for."""

    program: str = "/usr/bin/phased"
    """Absolute path of the command."""
    workspace: str = ""
    """The directory that the daemon is started for; empty: one of its own below its state directory, for a
    user the home."""
    of_user: bool = False
    """A unit of one user's service manager instead of the system's."""


def service_unit(place: Place) -> str:
    """The text of phased.service."""
    parts = [
        _head(place),
        _start(place),
        _LIFE,
        _stop(place),
        "" if place.of_user else _SYSTEM_PLACES,
        "" if place.of_user else _HARDENING,
        _USER_INSTALL if place.of_user else _SYSTEM_INSTALL,
    ]
    return "\n".join(part for part in parts if part)


def socket_unit(place: Place) -> str:
    """The text of phased.socket."""
    return _USER_SOCKET if place.of_user else _SYSTEM_SOCKET


def quoted(word: str) -> str:
    """A word of a unit's command line: `%`, `$`, quotes and blanks mean themselves (systemd.service(5))."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or any(one.isspace() for one in word) or "'" in word else word


def _head(place: Place) -> str:
    after = "" if place.of_user else "After=network.target local-fs.target remote-fs.target\n"
    return f"""\
[Unit]
Description=phased, the daemon that runs tasks and services
{after}# A daemon that crashes again and again is not restarted for ever.
StartLimitIntervalSec=60
StartLimitBurst=5
"""


def _start(place: Place) -> str:
    own = "%h" if place.of_user else "%S/phased/workspace"
    workspace = quoted(place.workspace) if place.workspace else own
    return f"""\
[Service]
# READY=1 is told when the first request would be answered, so what is ordered after this can use it.
Type=notify
NotifyAccess=main
ExecStart={quoted(place.program)} serve -C {workspace}
# The installed version takes the running one's place: same process, same sockets, nothing stops.
ExecReload=/bin/kill -HUP $MAINPID
"""


_LIFE: Final = """\
# A daemon that hangs is killed and started again; its signs of life say also what runs (`systemctl status`).
WatchdogSec=60
Restart=on-failure
RestartSec=1
# 2 is a mistake in the settings, 4 another daemon on this state directory: trying again would not help.
RestartPreventExitStatus=2 4
# Steps and services are processes in this unit's cgroup, and outlive the daemon: after a crash, and when it
# is restarted, the next one takes them over. So only the main process gets signals; a `stop` makes the daemon
# itself stop what runs (setting daemon.on_stop).
KillMode=process
# One step that eats all memory ends by itself; it takes neither the daemon nor the other steps along.
OOMPolicy=continue
# Each step gets a cgroup of its own below the unit's, so that a stop ends all of it (setting run.cgroup).
Delegate=yes
# Commands decide how many processes and files they need.
TasksMax=infinity
LimitNOFILE=16384:524288
"""


def _stop(place: Place) -> str:
    manager = "systemctl --user" if place.of_user else "systemctl"
    return f"""\
# A daemon that is still there after more than daemon.stop_timeout (90 s) is killed. What a stop that ran out
# of time has left is ended here; not after a crash or a restart, since then the next daemon takes it over.
TimeoutStopSec=120
ExecStopPost=-/bin/sh -c 'test "$$SERVICE_RESULT" != success || exit 0; \\
  {manager} --no-legend list-jobs | grep -q "%n *stop" && exec {manager} kill --signal=KILL %n'
"""


_SYSTEM_PLACES: Final = """\
# State and workspace below /var/lib/phased, the socket in /run/phased, settings in /etc/phased.
StateDirectory=phased phased/workspace
# Steps of other users pass through to what is theirs, and cannot look around.
StateDirectoryMode=0711
RuntimeDirectory=phased
RuntimeDirectoryMode=0755
# Else the directory, and with it an activated socket, would be deleted whenever the daemon restarts.
RuntimeDirectoryPreserve=yes
ConfigurationDirectory=phased
"""

_HARDENING: Final = """\
# The daemon is root's, and runs each step as the owner of its workspace. What stands here holds for steps,
# too, so it takes away only what no command of a development environment does to its machine.
CapabilityBoundingSet=~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_TIME CAP_SYS_BOOT CAP_MAC_ADMIN CAP_MAC_OVERRIDE
# Left out on purpose, since commands need it or the next daemon could not take over what runs:
#   User=, NoNewPrivileges=                        steps change to their user, and may use sudo
#   ProtectHome=, ProtectSystem=, ReadOnlyPaths=   workspaces are in homes; builds install packages
#   PrivateTmp=, DynamicUser=                      the next daemon would see another /tmp, another uid
#   PrivateDevices=, DevicePolicy=, ProtectClock=  emulators and containers use devices
#   RestrictNamespaces=, ProtectHostname=,
#   ProtectControlGroups=, ProtectKernel*=         containers without root are made with what these forbid
#   SystemCallFilter=, MemoryDenyWriteExecute=     so do debuggers, and programs that compile as they run
"""

_SYSTEM_INSTALL: Final = """\
[Install]
WantedBy=multi-user.target
"""

_USER_INSTALL: Final = """\
# Services of a user end when the user's last session does, unless: loginctl enable-linger
[Install]
WantedBy=default.target
"""

_SYSTEM_SOCKET: Final = """\
[Unit]
Description=The socket of phased; its first caller starts the daemon

[Socket]
ListenStream=/run/phased/phased.sock
# Who connects is asked for their uid, and [access] in the settings says what they may. 0666 lets other users
# ask at all; 0600 leaves it to root, and to the owner of the daemon's own workspace.
SocketMode=0600
DirectoryMode=0755

[Install]
WantedBy=sockets.target
"""

_USER_SOCKET: Final = """\
[Unit]
Description=The socket of phased; its first caller starts the daemon

[Socket]
ListenStream=%t/phased.sock
SocketMode=0600

[Install]
WantedBy=sockets.target
"""
