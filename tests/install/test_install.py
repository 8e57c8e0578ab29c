"""What `make build` makes, installed as a user does: the command, its manual page, its completions, its size.

Needs the package index; run by `make test-install`, never part of `make test`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
MOST: Final = 110_000_000
"""Bytes on disk that the package takes with all it depends on, without extras."""
SHARED: Final = {
    "share/man/man1/phased.1",
    "share/bash-completion/completions/phased",
    "share/zsh/site-functions/_phased",
    "share/fish/vendor_completions.d/phased.fish",
}
FILE: Final = "tasks:\n  build: {command: echo built}\n  test: {command: 'true', dependsOn: [build]}\n"


PAGE: Final = ROOT / "docs" / "how-to" / "dev-machine.md"


@dataclass(frozen=True, slots=True)
class Installed:
    """A user's home after the commands of the page, and how many bytes the installation takes."""

    home: Path
    wheel: Path
    source: Path
    size: int

    @property
    def folder(self) -> Path:
        """The virtual environment."""
        return self.home / ".local" / "lib" / "phased"

    @property
    def share(self) -> Path:
        """Where other programs look for what belongs to a user's commands."""
        return self.home / ".local" / "share"

    def run(self, *command: str, **variables: str) -> str:
        """What a command says, with the user's programs first on the PATH; it has to succeed."""
        path = f"{self.home / '.local' / 'bin'}:{os.environ['PATH']}"
        return call(*command, HOME=str(self.home), PATH=path, **variables)


def call(*command: str, **variables: str) -> str:
    """What a command prints; it has to succeed."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


def size_of(folder: Path) -> int:
    """As du(1) counts: the blocks that files take."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
    """Built, and the wheel installed with its dependencies."""
    if not os.environ.get("PHASED_TEST_INSTALL"):
        pytest.skip("run by `make test-install`, which needs the package index")
    with TemporaryDirectory(prefix="phased-install-") as place:
        home, made = Path(place, "home"), Path(place, "dist")
        home.mkdir()
        call(sys.executable, "-m", "hatchling", "build", "--directory", str(made))
        (wheel,), (source,) = made.glob("*.whl"), made.glob("*.tar.gz")
        create, *others = commands_of_page()
        call("bash", "-ec", create.replace("python3", sys.executable), HOME=str(home))
        before = size_of(home)
        script = "\n".join(others).replace("install phased", f"install {wheel}")
        call("bash", "-ec", script, HOME=str(home), PIP_CONSTRAINT=str(ROOT / "constraints.txt"))
        yield Installed(home, wheel, source, size_of(home) - before)


def commands_of_page() -> list[str]:
    """The lines of the page's first block; the package's name stands for what was built."""
    lines = PAGE.read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("    "))
    last = next(number for number in range(first, len(lines)) if not lines[number])
    return [line.strip() for line in lines[first:last]]


def install(folder: Path, *arguments: str) -> None:
    """As a user does."""
    pip = str(folder / "bin" / "pip")
    call(pip, "install", "-q", "--disable-pip-version-check", "--retries", "10", *arguments)


def test_the_command_works(installed: Installed, tmp_path: Path) -> None:
    """Everything that it needs came along."""
    (tmp_path / "file.yaml").write_text(FILE)
    places = ["-C", str(tmp_path), "-f", str(tmp_path / "file.yaml"), "--state-dir", str(tmp_path / "state")]
    assert installed.run("phased", "--version").startswith("phased ")
    installed.run("phased", *places, "run", "test")
    assert "built" in installed.run("phased", *places, "logs", "test")


def test_it_is_small(installed: Installed) -> None:
    """With what it depends on, compiled files too; pip and what else was there do not count."""
    print(f"installed: {installed.size / 1e6:.1f} MB")
    assert installed.size < MOST


def test_its_manual_page_is_found_and_shown(installed: Installed) -> None:
    """Without a complaint of the formatter, by the folder of the command on the PATH."""
    if shutil.which("man") is None:
        pytest.skip("there is no man here (Debian: man-db)")
    page = installed.share / "man" / "man1" / "phased.1"
    command = ["man", "--warnings", "-E", "UTF-8", "-l", str(page)]
    environment = {**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    assert "phased task start" in done.stdout
    assert installed.run("man", "-w", "phased", MANPATH="").strip() in {str(page), str(page.resolve())}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("phased", "tas"), "task"),
        (("phased", "task", "sta"), "start"),
        (("phased", "run", "--max"), "--max-parallel"),
    ],
)
def test_bash_completes(installed: Installed, words: tuple[str, ...], expected: str) -> None:
    """By the file that bash-completion loads."""
    script = f"""
    . {installed.share}/bash-completion/completions/phased
    complete -p phased > /dev/null || exit 1
    COMP_WORDS=({" ".join(words)}) COMP_CWORD={len(words) - 1}
    _phased_completion phased
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    assert expected in installed.run("bash", "-c", script).split()


def test_fish_completes(installed: Installed) -> None:
    """By the file that it loads."""
    if shutil.which("fish") is None:
        pytest.skip("there is no fish here (Debian: fish)")
    file = installed.share / "fish" / "vendor_completions.d" / "phased.fish"
    found = installed.run("fish", "--no-config", "-c", f"source {file}; complete -C 'phased tas'")
    assert found.startswith("task")


def test_zsh_knows_how_to_complete(installed: Installed, tmp_path: Path) -> None:
    """Its completion system finds the function by its first line."""
    if shutil.which("zsh") is None:
        pytest.skip("there is no zsh here (Debian: zsh)")
    folder = installed.share / "zsh" / "site-functions"
    installed.run("zsh", "-n", str(folder / "_phased"))
    script = f"fpath=({folder} $fpath); autoload -U compinit; compinit -u -d {tmp_path}/dump"
    assert installed.run("zsh", "-f", "-c", f"{script}; print $_comps[phased]") == "_phased\n"


def test_a_source_distribution_makes_the_same(installed: Installed, tmp_path: Path) -> None:
    """Built from it alone, as pip does where it finds no wheel."""
    call(
        str(installed.folder / "bin" / "pip"),
        "wheel",
        "-q",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(installed.source),
    )
    (again,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(installed.wheel) as first, zipfile.ZipFile(again) as second:
        names = first.namelist()
        assert sorted(names) == sorted(second.namelist())
        assert [name for name in names if first.read(name) != second.read(name)] == []
        assert {name.partition(".data/data/")[2] for name in names} - {""} == SHARED
        assert not [name for name in names if "tests/" in name or "__pycache__" in name]
    install(installed.folder, "--no-deps", "--force-reinstall", str(installed.source))
    assert installed.run("phased", "--version").startswith("phased ")


def test_it_can_be_removed_whole(installed: Installed) -> None:
    """Nothing of it is left below the environment."""
    call(str(installed.folder / "bin" / "pip"), "uninstall", "-q", "--yes", "phased")
    left = [path for path in installed.folder.rglob("*phased*") if "__pycache__" not in path.parts]
    assert left == []
