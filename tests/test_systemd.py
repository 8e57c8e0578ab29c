"""What is told to systemd and taken from it, without one: units, sockets, reasons; and `phased doctor`."""

from __future__ import annotations

import configparser
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from phased import systemd
from phased.cli.units import Place, quoted, service_unit, socket_unit
from phased.settings.places import is_service, service_sockets
from tests.api.daemon import PATIENCE, daemon
from tests.cli.program import Program, program

CONFIGS = Path(__file__).parents[1] / "configs"

HANDS_OVER = """
import os, socket, sys
made = socket.socket(socket.AF_UNIX)
made.bind(sys.argv[1])
made.listen()
os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Listens on a path, and becomes a program that inherits the socket, as a socket unit has it."""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("phased.service", service_unit(Place())),
        ("phased.socket", socket_unit(Place())),
        ("phased-user.service", service_unit(Place(of_user=True))),
    ],
)
def test_the_shipped_units_are_those_that_are_installed(name: str, text: str) -> None:
    """What `phased install-service` writes, for a program in /usr/bin; and each line is a directive."""
    assert (CONFIGS / name).read_text() == text
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.read_string(text)
    assert parser.sections()[0] == "Unit"
    assert parser.sections()[-1] == "Install"


def test_words_of_a_command_line_mean_themselves() -> None:
    """Blanks, specifiers, variables and quotes."""
    assert quoted("/usr/bin/phased") == "/usr/bin/phased"
    assert quoted("/srv/my work") == '"/srv/my work"'
    assert quoted('/a%b$c"d\\e') == '"/a%%b$$c\\"d\\\\e"'


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/phased.service\n", ("phased.service", False)),
        (
            "4:memory:/x.service\n1:name=systemd:/system.slice/phased.service\n0::/\n",
            ("phased.service", False),
        ),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/phased.service\n",
            ("phased.service", True),
        ),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", ("", False)),
        ("", ("", False)),
    ],
)
def test_the_unit_is_known_by_its_cgroup(cgroups: str, unit: tuple[str, bool]) -> None:
    """In every layout of hierarchies."""
    assert systemd.unit_of(cgroups) == unit


@pytest.mark.parametrize(
    ("jobs", "reason"),
    [
        (["  7 phased.service restart running"], "restart"),
        (["7 phased.service stop running", "8 other.service restart waiting"], "stop"),
        (["7 phased.service stop running", "8 reboot.target start waiting"], "shutdown"),
        (["No jobs running."], ""),
        ([], ""),
    ],
)
def test_the_reason_of_an_end_is_the_job_of_the_unit(jobs: list[str], reason: str) -> None:
    """As `systemctl list-jobs` shows it."""
    assert systemd.reason_of(jobs, "phased.service") == reason


def test_what_systemd_said_to_another_process_is_not_meant() -> None:
    """Variables that were inherited."""
    own = str(os.getpid())
    assert service_sockets({"LISTEN_FDS": "2", "LISTEN_PID": own}) == 2
    assert service_sockets({"LISTEN_FDS": "2", "LISTEN_PID": "1"}) == 0
    assert service_sockets({"LISTEN_FDS": "x", "LISTEN_PID": own}) == 0
    assert is_service({"SYSTEMD_EXEC_PID": own})
    assert not is_service({"SYSTEMD_EXEC_PID": "1"})


def test_a_status_is_one_line(tmp_path: Path) -> None:
    """Over a real socket (sd_notify(3)); an address that nobody listens at harms nothing."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(PATIENCE)
        manager = systemd.ServiceManager(str(path))
        manager.alive("runs\nbuild")
        assert listener.recv(4096) == b"WATCHDOG=1\nSTATUS=runs build"
        manager.alive()
        assert listener.recv(4096) == b"WATCHDOG=1"
    systemd.ServiceManager(str(path)).ready("x")


def test_a_socket_that_is_handed_over_is_served_and_left() -> None:
    """The caller who came first is answered, though nothing served yet; the path is not removed."""
    with daemon() as made:
        command = [sys.executable, "-c", HANDS_OVER, str(made.socket), *made.command()]
        process = made.start(command=command)
        assert made.client().get("/healthz").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert made.socket.is_socket()


def test_install_service_shows_what_it_would_do() -> None:
    """Nothing is written."""
    with program() as phased:
        phased.write("tasks: {}\n")
        shown = phased.call("install-service", "--user", "--dry-run", "--now", "-C", str(phased.workspace))
        assert shown.returncode == 0, shown.stderr
        assert f"serve -C {phased.workspace}\n" in shown.stdout
        assert f"# {phased.home}/.config/systemd/user/phased.socket" in shown.stdout
        assert "# then: systemctl --user enable --now phased.service" in shown.stdout
        assert not (phased.home / ".config").exists()
        assert phased.call("install-service", "--dry-run").stdout.count("/etc/systemd/system/phased") == 2
        assert phased.call("install-service", "--user", "--remove").stdout == "nothing is installed\n"


def checks(phased: Program, code: int, *arguments: str) -> dict[str, dict[str, str]]:
    """What doctor finds, by name."""
    found = phased.call("doctor", "-o", "json", *arguments)
    assert found.returncode == code, (found.stdout, found.stderr)
    value = json.loads(found.stdout)
    assert value["healthy"] == (code == 0)
    return {one["name"]: one for one in value["checks"]}


def test_doctor_on_a_machine_that_is_well() -> None:
    """Every check says something; as text, one line each."""
    with program() as phased:
        found = checks(phased, 0)
        assert found.keys() >= {
            "settings", "daemon", "socket", "state", "disk", "shell", "clock", "limits", "docker", "cgroups",
            "linger",
        }  # fmt: skip
        assert found["state"]["detail"] == f"{phased.state} will be made"
        text = phased.call("doctor").stdout
        assert all(name in text for name in found)
        assert not phased.state.exists()


def test_doctor_names_what_will_not_work() -> None:
    """With the way out; settings that cannot be read do not keep it from the rest."""
    with program() as phased:
        wrong = phased.home / "file"
        wrong.write_text("")
        found = checks(phased, 1, "--socket", str(wrong), "--state-dir", str(wrong))
        assert found["socket"]["state"] == found["state"]["state"] == "error"
        gone = checks(phased, 0, "--socket", f"{phased.home}/gone.sock")["daemon"]
        assert gone["state"] == "note"
        assert gone["detail"].startswith("cannot reach a daemon at ")
        found = checks(phased, 1, "--socket", f"{phased.home}/{'x' * 120}")
        assert "--socket" in found["socket"]["advice"]
        wrong.write_text("[run]\nshel = 'x'\n")
        found = checks(phased, 1, "--config", str(wrong))
        assert "did you mean run.shell?" in found["settings"]["detail"]
        assert found["kernel"]["state"] == "ok"
        wrong.write_text("[run]\nshell = '/no/such/shell'\n")
        assert checks(phased, 1, "--config", str(wrong))["shell"]["state"] == "error"


def test_doctor_finds_a_running_daemon() -> None:
    """By the state directory."""
    with daemon() as made:
        made.start()
        shown = subprocess.run(
            [sys.executable, "-m", "phased", "doctor", "--state-dir", str(made.state)],
            env=made.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert f"answers at {made.socket}" in shown.stdout
