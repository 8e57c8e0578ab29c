"""The journal: whole records come back, others do not."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from phased.supervisor.actions import Actions
from phased.supervisor.journal import Journal, read_journal


class FullDisk(Actions):
    """Takes `room` bytes, then nothing: as write(2) does, short first, then with an error."""

    room = 1 << 20

    def append(self, descriptor: int, data: bytes) -> int:
        """Short where there is less room."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = os.write(descriptor, data[: self.room])
        self.room -= written
        return written


def test_records_come_back_in_order_with_their_numbers(tmp_path: Path) -> None:
    """One write holds a whole bunch."""
    journal = Journal(str(tmp_path / "j"), Actions())
    journal.record("starting", 5, "r", "ü\n")
    journal.record("exited", 6, "r", 256, None)
    journal.write()
    journal.close()
    assert list(read_journal(str(tmp_path / "j"))) == [
        [0, "starting", 5, "r", "ü\n"],
        [1, "exited", 6, "r", 256, None],
    ]


def test_a_missing_journal_is_empty(tmp_path: Path) -> None:
    """Its supervisor died before its first record."""
    assert list(read_journal(str(tmp_path / "j"))) == []


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=0, max_value=400), flip=st.integers(min_value=0, max_value=399))
def test_what_is_damaged_is_left_out_and_nothing_is_invented(cut: int, flip: int) -> None:
    """Cut anywhere, with any byte changed: what comes back is what was written, less what was hit."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/j"
        journal = Journal(path, Actions())
        for number in range(8):
            journal.record("exited", number, f"run-{number}", number)
        journal.write()
        journal.close()
        whole = list(read_journal(path))
        data = bytearray(Path(path).read_bytes())
        data[flip % len(data)] ^= 0xFF
        Path(path).write_bytes(data[:cut])
        found = list(read_journal(path))
        assert [record for record in whole if record in found] == found
        assert len(found) >= data[:cut].count(b"\n") - 2


def test_a_short_write_is_taken_back_and_repeated_later(tmp_path: Path) -> None:
    """Nothing of it is on the disk, and nothing is forgotten (rule 14)."""
    disk = FullDisk()
    journal = Journal(str(tmp_path / "j"), disk)
    journal.record("born", 0)
    journal.write()
    disk.room = 10
    journal.record("exited", 1, "a", 0)
    journal.write()
    assert journal.full == "No space left on device"
    assert not journal.has_room()
    journal.record("exited", 2, "b", 0)
    journal.write()
    assert [record[1] for record in read_journal(str(tmp_path / "j"))] == ["born"]
    disk.room = 1 << 20
    journal.write()
    assert journal.full is None
    assert journal.has_room()
    assert [record[0] for record in read_journal(str(tmp_path / "j"))] == [0, 1, 2]
    journal.close()


def test_room_that_has_come_back_is_seen_when_it_is_asked_for(tmp_path: Path) -> None:
    """A run is not refused for a disk that was full a moment ago."""
    disk = FullDisk()
    journal = Journal(str(tmp_path / "j"), disk)
    disk.room = 0
    journal.record("exited", 1, "a", 0)
    journal.write()
    assert not journal.has_room()
    disk.room = 1 << 20
    assert journal.has_room()
    assert [record[1] for record in read_journal(str(tmp_path / "j"))] == ["exited"]
    journal.close()


def test_reserved_room_does_not_show_in_the_files_size(tmp_path: Path) -> None:
    """Readers would take zeros for records."""
    journal = Journal(str(tmp_path / "j"), Actions())
    assert journal.has_room()
    assert (tmp_path / "j").stat().st_size == 0
    journal.close()
