"""What a trial stands on: a small disk, a boot id of its own, processes to be killed, containers.

Knows the machine. Must not know what runs on it, or why. As an ordinary user there is no small disk and no
other boot; what needs them is then left out.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from phased.supervisor.census import look
from tests.api.daemon import PATIENCE, Daemon, daemon, wait_for

IMAGE = os.environ.get("PHASED_TEST_IMAGE", "rig/busybox")
_ROOM = "48m"
"""Of the disk that is filled: an empty state directory takes a few megabytes."""
_SUPERVISOR = b"supervisor/__main__.py"


class Ground:
    """Under one daemon."""

    def __init__(self, one: Daemon) -> None:
        """Makes the state directory, on a small disk of its own if that may be."""
        self.one = one
        self.boots = 0
        one.state.mkdir()
        one.socket = one.home / "k" / "p.sock"  # in a folder of its own, for containers to see each new one
        one.socket.parent.mkdir()
        self.can_boot = os.geteuid() == 0 and shutil.which("unshare") is not None
        self.mounted = os.geteuid() == 0 and _succeeds(
            "mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(one.state)
        )

    def command(self) -> list[str]:
        """The daemon's, in a mount namespace of its own from the second boot on."""
        if not self.boots:
            return self.one.command()
        file = self.one.home / "boot_id"
        file.write_text(f"{UUID(int=self.boots, version=4)}\n")
        script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, str(file), *self.one.command()]

    # ---- the disk --------------------------------------------------------------------------------

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """There is no room within."""
        ballast = self.one.state / "ballast"
        for size in (65536, 1):
            with suppress(OSError), ballast.open("ab", buffering=0) as file:
                while True:
                    file.write(b"\0" * size)
        try:
            yield
        finally:
            ballast.unlink()

    def close(self) -> None:
        """Let go of the disk and of containers."""
        self.one.close()
        for name in containers(self.one.state, "--all"):
            _succeeds("docker", "rm", "--force", name)
        deadline = time.monotonic() + PATIENCE
        while self.mounted and time.monotonic() < deadline:
            self.mounted = not _succeeds("umount", str(self.one.state))
            time.sleep(0.0 if not self.mounted else 0.1)
        shutil.rmtree(self.one.home, ignore_errors=True)

    # ---- processes -------------------------------------------------------------------------------

    def kill_supervisors(self) -> None:
        """Kill them, and wait until they are dead."""
        self._kill(lambda words: _SUPERVISOR in b" ".join(words))

    def kill_clients(self) -> None:
        """Kill every client of the engine of containers, and what follows a container's log."""
        self._kill(lambda words: words[0].endswith(b"docker") or b"following.py" in b" ".join(words))

    def kill_everything(self) -> None:
        """The supervisors first, so that nobody tells how the rest ends."""
        self.kill_supervisors()
        deadline = time.monotonic() + PATIENCE
        while (left := self.one.ours()) and time.monotonic() < deadline:
            _end(left)
            time.sleep(0.01)

    def _kill(self, chosen: Callable[[list[bytes]], bool]) -> None:
        found = {pid for pid in self.one.ours() if chosen(words_of(pid))}
        # What was just forked bears its parent's words until it executes its own: it is none of these.
        pids = [pid for pid in found if (process := look(pid)) is None or process.parent not in found]
        _end(pids)
        wait_for(lambda: not any(words_of(pid)[0] for pid in pids), f"{pids} are dead")

    def texts(self) -> dict[int, bytes]:
        """Of each living process of this ground, by pid: its variables and arguments."""
        return {pid: _text_of(pid) for pid in self.one.ours()}


def settle(holds: Callable[[], object], what: str) -> None:
    """As `wait_for`, for looks at all processes, which cost too much to be made all the time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)


def words_of(pid: int) -> list[bytes]:
    """The arguments of a process; one empty word where it is gone, or dead and not yet reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return [b""]


def has_engine() -> bool:
    """Whether an engine of containers answers at DOCKER_HOST and has the image."""
    return bool(os.environ.get("DOCKER_HOST")) and _succeeds("docker", "image", "inspect", IMAGE)


def containers(state: Path, *more: str) -> list[str]:
    """Those of a state directory, by name; `more` is for `docker ps`."""
    if not os.environ.get("DOCKER_HOST"):
        return []
    words = ["docker", "ps", "--filter", f"label=phased.state={state}", "--format", "{{.Names}}", *more]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()


@contextmanager
def ground() -> Iterator[Ground]:
    """One that leaves nothing behind."""
    with daemon() as one:
        made = Ground(one)
        try:
            yield made
        finally:
            made.close()


def _text_of(pid: int) -> bytes:
    with suppress(OSError):
        entry = Path(f"/proc/{pid}")
        return (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
    return b""


def _end(pids: Iterable[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _succeeds(*words: str) -> bool:
    with suppress(OSError):
        return subprocess.run(words, capture_output=True, check=False).returncode == 0
    return False
