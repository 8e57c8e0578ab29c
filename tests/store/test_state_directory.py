"""The layout of a state directory and who holds it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from phased.errors import FileUnreadable, NotFound, StateDirectoryHeld
from phased.store.state_directory import Holder, StateDirectory

EXECUTION = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"
STEP = "0a1b2c3d-0000-5000-8000-00000000000f"
HOLDING = """
import sys
from pathlib import Path
from phased.store.state_directory import StateDirectory
with StateDirectory(Path(sys.argv[1])).hold("/run/some.sock"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path: Path) -> StateDirectory:
    """One that was made."""
    made = StateDirectory(tmp_path / "a" / "state")
    made.create()
    return made


@contextmanager
def held(directory: StateDirectory) -> Iterator[subprocess.Popen[str]]:
    """Another process holds it."""
    command = [sys.executable, "-c", HOLDING, str(directory.path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def test_is_made_for_its_user_alone(directory: StateDirectory) -> None:
    """Making it again changes nothing."""
    directory.create()
    for folder in (directory.path, directory.runs, directory.supervisors):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    """It may be shared on purpose; what is made in it is not."""
    tmp_path.chmod(0o755)
    directory = StateDirectory(tmp_path)
    directory.create()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE(directory.runs.stat().st_mode) == 0o700


def test_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    """Naming the directory and the way out."""
    (tmp_path / "state").write_text("")
    directory = StateDirectory(tmp_path / "state")
    with pytest.raises(FileUnreadable, match=r"^cannot use the state directory .*state-dir"):
        directory.create()
    assert directory.holder() is None


def test_the_second_is_refused_and_told_who_is_first(directory: StateDirectory) -> None:
    """Also within one process, where the lock is by open file."""
    with held(directory) as first:
        assert directory.holder() == Holder(first.pid, "/run/some.sock")
        with pytest.raises(StateDirectoryHeld, match=f"process {first.pid} holds it") as refused:
            directory.hold()
        assert refused.value.pid == first.pid
        assert directory.holder() == Holder(first.pid, "/run/some.sock")
    assert directory.holder() is None
    with directory.hold(), pytest.raises(StateDirectoryHeld, match=f"process {os.getpid()} "):
        directory.hold()
    with directory.hold():
        pass


def test_a_killed_holder_holds_no_more(directory: StateDirectory) -> None:
    """What it wrote in the lock file stays there and means nothing."""
    with held(directory) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert str(first.pid) in directory.lock.read_text()
        assert directory.holder() is None
        with directory.hold():
            assert directory.holder() == Holder(os.getpid(), None)


def test_a_holder_can_name_its_socket_later(directory: StateDirectory) -> None:
    """A shorter name leaves nothing of the longer one; after the release nothing is named."""
    hold = directory.hold("/a/very/long/name")
    assert directory.holder() == Holder(os.getpid(), "/a/very/long/name")
    hold.name_socket("/s")
    assert directory.holder() == Holder(os.getpid(), "/s")
    hold.release()
    hold.release()
    assert directory.holder() is None
    assert directory.lock.read_bytes() == b""


def test_looking_does_not_keep_anybody_out(directory: StateDirectory) -> None:
    """Who looks takes the lock for a moment."""
    script = (
        "import sys; from pathlib import Path\n"
        "from phased.store.state_directory import StateDirectory\n"
        "directory = StateDirectory(Path(sys.argv[1])); print(flush=True)\n"
        "while True: directory.holder()"
    )
    command = [sys.executable, "-c", script, str(directory.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(50):
                with directory.hold():
                    pass
        finally:
            process.kill()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"pid": "x", "socket": 3}'])
def test_what_the_lock_file_says_is_not_trusted(directory: StateDirectory, content: bytes) -> None:
    """A half-written one, or another version's."""
    with directory.hold():
        directory.lock.write_bytes(content)
        assert directory.holder() == Holder(None, None)
        with pytest.raises(StateDirectoryHeld, match="another process holds it"):
            directory.hold()


def test_a_link_in_place_of_the_lock_is_not_followed(directory: StateDirectory, tmp_path: Path) -> None:
    """Else a file of somebody's choice would be overwritten."""
    target = tmp_path / "precious"
    target.write_text("precious")
    directory.lock.symlink_to(target)
    with pytest.raises(FileUnreadable, match=r"^cannot use the state directory"):
        directory.hold()
    with pytest.raises(FileUnreadable, match=r"^cannot use the state directory"):
        directory.holder()
    assert target.read_text() == "precious"


def test_where_nothing_is_nobody_holds(tmp_path: Path) -> None:
    """Asking makes nothing; holding needs the folder."""
    directory = StateDirectory(tmp_path / "none")
    assert directory.holder() is None
    with pytest.raises(FileUnreadable, match="No such file"):
        directory.hold()
    assert os.listdir(tmp_path) == []


def test_a_log_lies_under_its_execution(directory: StateDirectory) -> None:
    """Step ids may bear the number of an attempt."""
    assert directory.log_path(EXECUTION, STEP) == directory.runs / EXECUTION / f"{STEP}.log"
    assert directory.log_path(EXECUTION, f"{STEP}.12").name == f"{STEP}.12.log"
    assert directory.execution_path(EXECUTION) == directory.runs / EXECUTION


@pytest.mark.parametrize(
    "nonsense",
    ["", ".", "..", "../../etc/passwd", f"{STEP}/..", f"../{STEP}", f"{STEP}\n", f"{STEP}\0", f"{STEP}.",
     f"{STEP}.x", f"{STEP}.1/../x", STEP.upper(), f"{{{STEP}}}", STEP.replace("-", ""), "٣" + STEP[1:]],
)  # fmt: skip
def test_what_is_no_id_becomes_no_path(directory: StateDirectory, nonsense: str) -> None:
    """Neither as an execution nor as a step."""
    with pytest.raises(NotFound, match=r"^cannot find "):
        directory.log_path(EXECUTION, nonsense)
    with pytest.raises(NotFound, match=r"^cannot find "):
        directory.log_path(nonsense, STEP)
