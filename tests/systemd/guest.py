"""A machine of its own with systemd as process 1, into which the wheel is installed.

PHASED_TEST_SYSTEMD names the folder of the programs systemd-up, systemd-exec and systemd-down that make it.
Where SYSTEMD_RIG names a machine that is up and has the program, that one is used and kept.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PATIENCE: Final = 120.0
PROGRAM: Final = "/srv/venv/bin/phased"


class Guest:
    """Runs commands in it; `close` powers it off."""

    def __init__(self, tools: Path) -> None:
        """`tools` holds the programs."""
        self._tools = tools
        given = os.environ.get("SYSTEMD_RIG")
        self._is_ours = not given
        self.directory = given or f"{tempfile.mkdtemp(prefix='phs-', dir='/tmp')}/m"

    def up(self) -> None:
        """Boot it, for the first time or again; PHASED_TEST_CGROUP is `hybrid` or `unified`."""
        chosen = os.environ.get("PHASED_TEST_CGROUP")
        layout = ["--cgroup", chosen] if chosen else []
        self._tool("systemd-up", *layout, self.directory, timeout=900)

    def close(self) -> None:
        """Power it off and remove it, unless it was there before."""
        if self._is_ours:
            self._tool("systemd-down", self.directory, timeout=300, check=False)
            shutil.rmtree(Path(self.directory).parent, ignore_errors=True)

    def install(self) -> None:
        """Build the wheel and install it, with what it depends on."""
        with tempfile.TemporaryDirectory() as place:
            build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "--directory", place]
            subprocess.run(
                build, cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300
            )
            (wheel,) = Path(place).glob("*.whl")
            for file in (wheel, ROOT / "constraints.txt"):
                self.write(f"/srv/{file.name}", file.read_bytes())
        if self.run("test", "-x", PROGRAM).returncode:
            self.ok("python3", "-m", "venv", "/srv/venv")
            self._pip(f"/srv/{wheel.name}")
        self._pip("--no-deps", "--force-reinstall", f"/srv/{wheel.name}")
        self.ok("ln", "-sf", PROGRAM, "/usr/local/bin/phased")

    def _pip(self, *arguments: str) -> None:
        self.ok(
            "env", "PIP_CONSTRAINT=/srv/constraints.txt", "/srv/venv/bin/pip", "install", "-q", *arguments
        )

    def run(self, *command: str, user: str = "root", stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """A command in it, to its end."""
        done = subprocess.run(
            [str(self._tools / "systemd-exec"), "-d", self.directory, "-u", user, "--", *command],
            input=stdin,
            capture_output=True,
            timeout=600,
            check=False,
        )
        return subprocess.CompletedProcess(
            command,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """The same, not waited for; who calls this ends it."""
        return subprocess.Popen(
            [str(self._tools / "systemd-exec"), "-d", self.directory, "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def ok(self, *command: str, user: str = "root") -> str:
        """What it prints; it has to succeed."""
        done = self.run(*command, user=user)
        assert done.returncode == 0, (command, done.returncode, done.stdout[-4000:], done.stderr[-4000:])
        return done.stdout

    def write(self, path: str, content: bytes | str) -> None:
        """Make a file, and the folders above it."""
        data = content.encode() if isinstance(content, str) else content
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1"'
        done = self.run("sh", "-c", script, "-", path, stdin=data)
        assert done.returncode == 0, done.stderr

    def value(self, *arguments: str, user: str = "root") -> Any:
        """What phased answers as JSON."""
        return json.loads(self.ok(PROGRAM, *arguments, "-o", "json", user=user))

    def property(self, name: str, unit: str = "phased.service") -> str:
        """What systemd says of a unit."""
        return self.ok("systemctl", "show", "--value", "-p", name, unit).strip()

    def drop_in(self, text: str) -> None:
        """Further lines for the section [Service] of phased.service; none: as it was."""
        path = "/etc/systemd/system/phased.service.d/test.conf"
        self.write(path, f"[Service]\n{text}\n")
        self.ok("systemctl", "daemon-reload")

    def journal(self) -> str:
        """What the service and systemd said of it in this boot."""
        return self.ok("journalctl", "-b", "-u", "phased", "--no-pager", "-o", "cat")

    def _tool(self, name: str, *arguments: str, timeout: float, check: bool = True) -> None:
        subprocess.run(
            [str(self._tools / name), *arguments],
            check=check,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=timeout,
        )


def wait_for(holds: Callable[[], Any], what: str) -> Any:
    """Wait until this holds; the one place that looks again and again."""
    deadline = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)
    return found
