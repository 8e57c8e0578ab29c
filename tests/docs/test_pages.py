"""What the pages say is there: links, commands, files that load; and they name no machine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phased import loader
from phased.cli.application import VERBS
from tests.docs.pages import DOCS, ROOT, Block, blocks, name_of, pages

MACHINE_PATHS = re.compile(r"(?<![\w.$~}])/(work|root|home|Users|mnt|opt|private)/[\w.-]+")

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)#]+)(#[^)]*)?\)")

COMMAND = re.compile(r"^\s*(?:\$ )?phased (?:-\S+ \S+ )?(?P<verb>[a-z-]+)", re.MULTILINE)

every_page = pytest.mark.parametrize("page", pages(), ids=name_of)


def others() -> list[Path]:
    """What is no page but is read like one."""
    found = [ROOT / name for name in ("Makefile", "mkdocs.yml", "pyproject.toml", "constraints.txt")]
    for folder in (".ci", "configs"):
        found += sorted(
            path for path in (ROOT / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"
        )
    return found


@pytest.mark.parametrize("page", [*pages(), *others()], ids=name_of)
def test_no_page_names_a_path_of_somebodys_machine(page: Path) -> None:
    """A reader's machine has other folders."""
    found = MACHINE_PATHS.search(page.read_text(encoding="utf-8"))
    assert found is None, found and found[0]


def test_a_path_of_a_machine_would_be_found() -> None:
    """Paths of somebody's own folders are, those that every Linux has are not."""
    assert MACHINE_PATHS.search("see /home/ann/notes")
    assert MACHINE_PATHS.search("cd /root/x")
    assert not MACHINE_PATHS.search(
        "/etc/phased/phased.toml $HOME/work/x src/root/x https://example.org/home/x"
    )


@every_page
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Links to the web are not followed."""
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        target = link["target"]
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target


@every_page
def test_commands_on_pages_exist(page: Path) -> None:
    """Only what is built is written about."""
    for block in blocks(page.read_text(encoding="utf-8")):
        for command in COMMAND.finditer(block.text):
            assert command["verb"] in VERBS, command[0]


def examples() -> list[tuple[str, Block]]:
    """Blocks that are whole automations files, but for those that are meant to be wrong."""
    found = [(name_of(page), block) for page in pages() for block in blocks(page.read_text(encoding="utf-8"))]
    return [
        (name, block)
        for name, block in found
        if block.language == "yaml" and block.text.startswith(("tasks:", "services:"))
        if not (block.saved_as or "").startswith("wrong")
    ]


@pytest.mark.parametrize(
    ("page", "block"), examples(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_automations_files_on_pages_are_valid(page: str, block: Block) -> None:
    """They can be copied as they are."""
    loaded = loader.read(None, text=block.text.encode())
    assert loaded.valid, (page, loaded.diagnostics)


def test_decisions_have_numbers_of_their_own() -> None:
    """Two decisions made at the same time do not get the same number."""
    numbers = [path.name[:4] for path in sorted((DOCS / "decisions").glob("*.md"))]
    assert all(number.isdigit() for number in numbers)
    assert len(set(numbers)) == len(numbers), numbers
