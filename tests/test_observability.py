"""Log events: lines on standard error, and fields in systemd's journal (the real one: tests/systemd)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from phased.observability import Journal, reaches_journal
from phased.settings import journal_stream

SPEAKS = """
from phased.observability import configure, logger
configure("info", "text")
logger("phased.test").warning("disk_slow", execution_id="e1", reason="two\\nlines")
logger("phased.test").info("calm")
"""


@pytest.fixture
def journal() -> Iterator[socket.socket]:
    """A socket that takes datagrams, and its path."""
    with TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(f"{folder}/journal")
        made.settimeout(60)
        yield made


def fields_of(data: bytes) -> dict[str, str]:
    """What a datagram says (https://systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    found = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, sign, value = line.partition(b"=")
        if not sign:
            length = int.from_bytes(data[:8], "little")
            value, data = data[8 : 8 + length], data[9 + length :]
        found[name.decode()] = value.decode()
    return found


def test_every_fact_is_a_field(journal: socket.socket) -> None:
    """Also one of several lines, which cannot pass for another field."""
    facts = {
        "event": "disk_slow",
        "level": "warning",
        "execution_id": "e1",
        "reason": "a\nPRIORITY=0",
        "n": 3,
    }
    Journal(journal.getsockname()).write(facts)
    assert fields_of(journal.recv(65536)) == {
        "MESSAGE": "disk_slow execution_id=e1 reason=a\nPRIORITY=0 n=3",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "phased",
        "PHASED_EVENT": "disk_slow",
        "PHASED_EXECUTION_ID": "e1",
        "PHASED_REASON": "a\nPRIORITY=0",
        "PHASED_N": "3",
    }


def test_what_the_journal_does_not_take_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the priority in front, as systemd reads it (sd-daemon(3))."""
    Journal(str(tmp_path / "none")).write({"event": "disk_slow", "level": "error", "reason": "a\nb"})
    assert capsys.readouterr().err == "<3>disk_slow reason=a b\n"


def test_the_journal_is_known_by_its_stream(tmp_path: Path) -> None:
    """A variable that was inherited, with standard error elsewhere, means nothing."""
    with (tmp_path / "file").open("w") as file:
        found = os.fstat(file.fileno())
        stream = journal_stream({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert reaches_journal(file.fileno(), stream)
        assert not reaches_journal(file.fileno(), journal_stream({"JOURNAL_STREAM": "1:2"}))
        assert not reaches_journal(file.fileno(), journal_stream({"JOURNAL_STREAM": "x"}))
        assert not reaches_journal(file.fileno(), journal_stream({}))
    assert not reaches_journal(10_000, stream)


@pytest.mark.parametrize("stream", ["", "1:2"])
def test_elsewhere_an_event_is_a_line_on_standard_error(stream: str) -> None:
    """With its level, its facts and the time."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAKS],
        env={**os.environ, "JOURNAL_STREAM": stream},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    first, second = done.stderr.splitlines()
    assert first.startswith("event='disk_slow' level='warning' component='phased.test' execution_id='e1'")
    assert second.startswith("event='calm' level='info'")
    assert not done.stdout
