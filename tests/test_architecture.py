"""The tree keeps its own rules, and each rule is shown to be able to fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import architecture

SOURCE = Path(__file__).parents[1] / "src"

STUBS = [
    "__init__.py",
    "daemon.py",
    "settings.py",
    "errors.py",
    "contract/task.py",
    "core/planner.py",
    "core/phases.py",
    "engine/__init__.py",
    "engine/driver.py",
    "engine/feed.py",
    "store/sqlite.py",
    "supervisor/client.py",
    "supervisor/spawning.py",
    "api/routes.py",
    "web/page.py",
]

DOCUMENTED = '"""Says what it knows."""\n'


def test_the_tree_keeps_the_rules() -> None:
    """What the rules forbid is nowhere in src."""
    found = architecture.violations(SOURCE)
    assert not found, "\n".join(["breaches of the rules in tests/architecture.py:", *found])


def test_every_part_has_its_rule() -> None:
    """A new folder needs a row in the table of who may import what."""
    parts = {module.part for module in architecture.read_tree(SOURCE)} - {"__init__"}
    assert parts <= architecture.MAY_IMPORT.keys() | architecture.WIRES_EVERYTHING


@pytest.mark.parametrize(
    ("module", "text", "complaint"),
    [
        ("errors.py", "from phased.contract import task\n", "errors must not import contract"),
        ("contract/task.py", "from phased.core.planner import groups\n", "contract must not import core"),
        ("core/planner.py", "import phased.engine.driver\n", "core must not import engine"),
        ("core/planner.py", "def f():\n    from phased import engine\n", "(inside a function)"),
        ("core/planner.py", "from ..engine import driver\n", "core must not import engine"),
        ("core/__init__.py", "from ..engine import driver\n", "core must not import engine"),
        ("ports.py", "import phased.settings\n", "ports must not import settings"),
        ("engine/driver.py", "from phased.store.sqlite import SqliteStore\n", "engine must not import store"),
        ("engine/driver.py", "from phased import daemon\n", "engine must not import daemon"),
        ("engine/driver.py", "from phased.supervisor import client\n", "engine must not import supervisor"),
        (
            "runners/process.py",
            "from phased.supervisor import journal\n",
            "they see its client",
        ),
        ("store/sqlite.py", "from phased.api import routes\n", "store must not import api"),
        ("api/routes.py", "from phased.web import page\n", "api must not import web"),
        ("client/unary.py", "from phased.core import phases\n", "client must not import core"),
        ("cli/run.py", "from phased import daemon\n", "cli must not import daemon (at its top)"),
        ("cli/run.py", "def f():\n    from phased.engine import driver\n", "cli must not import engine"),
        (
            "supervisor/spawn.py",
            "from phased.errors import PhasedError\n",
            "supervisor must not import errors",
        ),
        ("supervisor/spawn.py", "import attrs\n", "standard library only"),
        ("core/versions.py", "import time\n", "core must not import time: it is pure"),
        ("contract/task.py", "from os.path import join\n", "contract must not import os: it is pure"),
        ("engine/engine.py", "import networkx as nx\n", "stands in core.planner alone"),
        ("core/specs.py", "import networkx as nx\n", "stands in core.planner alone"),
        ("engine/engine.py", "def f():\n    import psutil\n", "stands in runners and observability alone"),
        ("engine/engine.py", "from rich.live import Live\n", "stands in cli alone"),
        ("loader/read.py", "import click\n", "stands in cli alone"),
        ("engine/driver.py", "import os\nHOME = os.environ['HOME']\n", "must not read os.environ"),
        ("engine/driver.py", "from os import environ\n", "must not read os.environ"),
        ("engine/driver.py", "from time import monotonic\n", "must not read time.monotonic"),
        ("engine/driver.py", "import time\nNOW = time.time()\n", "must not read time.time"),
        (
            "engine/driver.py",
            "from datetime import datetime\nNOW = datetime.now()\n",
            "not read datetime.now",
        ),
        ("engine/driver.py", "#\n" * (architecture.LONGEST + 1), "split it"),
    ],
)
def test_a_breach_is_found(tmp_path: Path, module: str, text: str, complaint: str) -> None:
    """Each rule can fail, and says which module broke it and why."""
    _tree(tmp_path, {module: DOCUMENTED + text})
    found = architecture.violations(tmp_path)
    assert len(found) == 1
    assert complaint in found[0]


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    """Every module opens with what it knows."""
    _tree(tmp_path, {"core/odd.py": "X = 1\n"})
    assert architecture.violations(tmp_path) == ["core.odd:1: has no docstring"]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("engine/driver.py", "from phased.core import planner\nfrom .feed import Feed\n"),
        ("cli/run.py", "def f():\n    from phased import daemon\n"),
        ("cli/run.py", "from phased.core.planner import groups\n"),
        (
            "cli/run.py",
            "if TYPE_CHECKING:\n    from phased.engine import driver\n",
        ),
        ("runners/process.py", "import psutil\nfrom phased.supervisor.client import Client\n"),
        ("core/planner.py", "def f():\n    import networkx as nx\n"),
        ("daemon.py", "from phased.engine import driver\nfrom phased import __version__\n"),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path: Path, module: str, text: str) -> None:
    """The rules leave alone what the design wants."""
    _tree(tmp_path, {module: DOCUMENTED + text})
    assert architecture.violations(tmp_path) == []


HEAVY = (
    "anyio asyncio cryptography httpx networkx psutil pydantic rich sqlite3 starlette structlog uvicorn yaml"
)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_what_is_heavy_is_not_imported_for(option: str) -> None:
    """People wait for these; what only some verbs need is imported by those."""
    program = (
        f"import sys; from phased.cli import main; main([{option!r}]); print(*sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    assert set(done.stderr.split()) & set(HEAVY.split()) == set()


def _tree(root: Path, files: dict[str, str]) -> None:
    """A package `phased` with these files and a few that they may import."""
    for name, text in {**dict.fromkeys(STUBS, DOCUMENTED), **files}.items():
        path = root / "phased" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
