"""Secrets as files: whole, for the step's user alone, and never over what somebody has there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from phased.access.mounts import FileOwner, put, take_away
from phased.access.steps import StepSecrets
from phased.access.vault import MountedFile
from phased.errors import FailedPrecondition
from tests.access.build import ALICE, ENVIRONMENT, house, secret

OTHER_USER = FileOwner(65534, 65534)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")


@pytest.fixture(params=[None, pytest.param(OTHER_USER, marks=as_root)], ids=["self", "other"])
def owner(request: pytest.FixtureRequest) -> FileOwner | None:
    """The user of this process, and another one."""
    found: FileOwner | None = request.param
    return found


@pytest.fixture
def folder(owner: FileOwner | None) -> Iterator[Path]:
    """A folder of that user's."""
    with tempfile.TemporaryDirectory() as made:
        if owner:
            os.chown(made, owner.uid, owner.gid)
        yield Path(made)


def file(path: Path, value: str = "s3cr3t-vålue\n") -> MountedFile:
    """A secret that is mounted there."""
    return MountedFile("id", "NAME", str(path), ("old value",), value)


def test_a_file_is_its_users_alone(folder: Path, owner: FileOwner | None) -> None:
    """Mode 0600, also where folders have to be made; nothing else is left there."""
    put(file(folder / "a" / "b" / "key"), owner)
    path = folder / "a" / "b" / "key"
    facts = path.stat()
    assert path.read_text() == "s3cr3t-vålue\n"
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_uid == (owner.uid if owner else os.geteuid())
    assert os.listdir(path.parent) == ["key"]


def test_it_follows_the_value(folder: Path, owner: FileOwner | None) -> None:
    """An older value of the same secret is replaced; the same one is left as it is."""
    path = folder / "key"
    put(file(path, "old value"), owner)
    put(file(path, "new value"), owner)
    assert path.read_text() == "new value"
    before = path.stat()
    put(file(path, "new value"), owner)
    assert path.stat().st_ino == before.st_ino
    take_away(file(path, "new value"), owner)
    assert not path.exists()
    take_away(file(path, "new value"), owner)


@pytest.mark.parametrize("kind", ["file", "link", "folder", "fifo"])
def test_what_a_user_has_there_is_never_touched(folder: Path, owner: FileOwner | None, kind: str) -> None:
    """It is said, with the secret's id, and the value is not."""
    path = folder / "key"
    match kind:
        case "file":
            path.write_text("mine")
            path.chmod(0o644)
        case "link":
            path.symlink_to(folder / "elsewhere")
        case "folder":
            path.mkdir()
        case _:
            os.mkfifo(path)
    before = path.lstat()
    with pytest.raises(FailedPrecondition, match="another file is there") as caught:
        put(file(path), owner)
    assert "s3cr3t" not in str(caught.value)
    assert "(id)" in str(caught.value)
    take_away(file(path), owner)
    assert path.lstat() == before
    assert os.listdir(folder) == ["key"]


@as_root
def test_another_user_writes_with_that_users_rights() -> None:
    """Not into root's folders."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        with pytest.raises(FailedPrecondition, match="Permission denied"):
            put(file(Path(made) / "key"), OTHER_USER)
        assert os.listdir(made) == []
        put(file(Path(made) / "key"))
        assert (Path(made) / "key").stat().st_uid == 0


@pytest.mark.anyio
async def test_steps_find_files_and_they_go_with_their_secret(tmp_path: Path) -> None:
    """Put before a step, and again where it was removed; replaced with the value, gone with the secret."""
    target = tmp_path / "home" / "key"
    async with house(tmp_path) as here:
        steps = StepSecrets(here.vault)
        alice = await here.caller(ALICE)
        request = secret("FILE", "first value", filePath=str(target), projectId=ENVIRONMENT)
        made = await here.vault.create(request, alice)
        for _ in range(2):
            assert steps.mounted(ENVIRONMENT) == {}
            assert target.read_text() == "first value"
            os.unlink(target)
        steps.mounted(ENVIRONMENT)
        await here.vault.update(made.id, "second value", alice)
        steps.mounted(ENVIRONMENT)
        assert target.read_text() == "second value"
        await here.vault.delete(made.id, alice)
        assert os.listdir(target.parent) == []


def test_no_repr_shows_a_value() -> None:
    """Only where it goes."""
    shown = repr(replace(file(Path("/x/y")), former=("tr0ub4dor",)))
    assert shown == "MountedFile('NAME', '/x/y')"
