"""Where a file is looked for, and what happens where there is none that can be read."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

from phased import loader
from phased.errors import FileUnreadable
from phased.loader.files import MAX_BYTES, PLACES


def test_the_first_place_wins(tmp_path: Path) -> None:
    """The order of the reference, each with both endings."""
    assert PLACES == (
        ".ona/config.yaml",
        ".ona/config.yml",
        ".ona/automations.yaml",
        ".ona/automations.yml",
        ".gitpod/automations.yaml",
        ".gitpod/automations.yml",
    )
    for place in reversed(PLACES):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text("")
        assert loader.find(tmp_path) == tmp_path / place


def test_nothing_found_names_all_places(tmp_path: Path) -> None:
    """And the way out."""
    with pytest.raises(FileUnreadable, match="cannot find an automations file") as caught:
        loader.find(tmp_path)
    assert all(place in str(caught.value) for place in PLACES)
    assert "--file" in str(caught.value)


@pytest.mark.parametrize("name", ["missing", "file"])
def test_a_workspace_that_is_no_directory(tmp_path: Path, name: str) -> None:
    """It says so, rather than that there is no file in it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FileUnreadable, match="cannot find the workspace directory"):
        loader.find(tmp_path / name)


def test_missing_directory_and_loop(tmp_path: Path) -> None:
    """Each with its reason."""
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (("none", "cannot find"), (".", "is a directory"), ("loop", "Too many levels")):
        with pytest.raises(FileUnreadable, match=reason):
            loader.read(tmp_path / name)
    with pytest.raises(FileUnreadable, match="cannot read"):
        loader.read(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
def test_a_link_to_what_another_user_has(tmp_path: Path) -> None:
    """A daemon of root does not read it for the workspace's owner; their own may lie anywhere."""
    workspace, elsewhere = tmp_path / "workspace", tmp_path / "elsewhere"
    (workspace / ".ona").mkdir(parents=True)
    elsewhere.write_text("tasks: {}")
    (workspace / PLACES[0]).symlink_to(elsewhere)
    assert loader.find_own(workspace) == workspace / PLACES[0]
    os.chown(workspace, 65534, 65534)
    with pytest.raises(FileUnreadable, match="leads out of the workspace"):
        loader.find_own(workspace)
    os.chown(elsewhere, 65534, 65534)
    assert loader.find_own(workspace) == workspace / PLACES[0]
    (workspace / PLACES[0]).unlink()
    (workspace / "shared").write_text("tasks: {}")
    (workspace / PLACES[0]).symlink_to("../shared")
    assert loader.find_own(workspace) == workspace / PLACES[0]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    """The system's reason is passed on."""
    file = tmp_path / "f.yaml"
    file.write_text("")
    file.chmod(0)
    with pytest.raises(FileUnreadable, match="Permission denied"):
        loader.read(file)


def test_too_large_is_refused_and_the_limit_is_not(tmp_path: Path) -> None:
    """Ten megabytes, a device without end: refused without reading them whole."""
    file = tmp_path / "f.yaml"
    file.write_bytes(b"#" * 10_000_000)
    for name in (file, Path("/dev/zero")):
        with pytest.raises(FileUnreadable, match="larger than 4 MiB"):
            loader.read(name)
    with pytest.raises(FileUnreadable, match="larger than 4 MiB"):
        loader.read(None, text=b"#" * (MAX_BYTES + 1))
    file.write_bytes(b"#" * MAX_BYTES)
    assert loader.read(file).valid


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the name that was given; a closed one is an error, not a crash."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"tasks: {a: {}}")))
    loaded = loader.read(Path("-"))
    assert (loaded.file, loaded.valid) == ("-", True)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(FileUnreadable, match="standard input"):
        loader.read(None)
