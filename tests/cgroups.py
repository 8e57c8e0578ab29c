"""Cgroups of version 2 for tests: made below the root, which only root can, and gone afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pytest

from phased.supervisor.cgroups import kill_all, remove


def _mount_point() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if kind.startswith("cgroup2 "):
            return Path(mount.split()[4])
    return None


@contextmanager
def delegated_cgroup() -> Iterator[Path]:
    """One that is delegated, as systemd would say it; skips the test where none can be made."""
    mount_point = _mount_point()
    if os.geteuid() != 0 or mount_point is None:
        pytest.skip("only root makes cgroups, and only where those of version 2 are mounted")
    made = mount_point / f"tests-{uuid4().hex[:12]}"
    try:
        made.mkdir()
        os.setxattr(made, "user.delegate", b"1")
    except OSError as error:
        with suppress(OSError):
            made.rmdir()
        pytest.skip(f"no cgroup can be made here: {error}")
    if not (made / "cgroup.kill").exists():
        made.rmdir()
        pytest.skip("this kernel has no cgroup.kill")
    try:
        yield made
    finally:
        for folder, _, _ in os.walk(made, topdown=False):
            kill_all(folder)
        while not remove(str(made)):
            pass


def groups_of_runs(group: Path) -> list[str]:
    """The runs that have a cgroup there."""
    return sorted(one.name.removeprefix("phased-") for one in group.iterdir() if one.is_dir())
