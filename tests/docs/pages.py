"""The repository's own pages, their code blocks, and the program that makes the reference pages."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"

_BLOCK: Final = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SAVED: Final = re.compile(r"save this as `(?P<name>[^`]+)`:\s*\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `saved_as` is the name that the words before it give it."""

    language: str
    text: str
    saved_as: str | None


def pages() -> list[Path]:
    """Every page that people read, the generated ones too."""
    own = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    return [*own, *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """The page as messages name it."""
    return str(page.relative_to(ROOT))


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = []
    for match in _BLOCK.finditer(text):
        saved = _SAVED.search(text[: match.start()])
        found.append(Block(match["language"], match["text"], saved["name"] if saved else None))
    return found


def generator() -> ModuleType:
    """`docs/generate.py`, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
