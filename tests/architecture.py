"""The rules of who may import what, as data, and the reading of a source tree that holds them.

Knows source text alone: it parses, it never imports what it judges. `test_architecture.py` holds the tree
to it, and shows for each rule that it can fail. The rules are explained in docs/explanation/design.md.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

LONGEST: Final = 600
"""Lines of a module beyond which it must be split; `make lint` says "look again" from 400 on."""

_BASE: Final = frozenset({"errors", "contract", "core", "ports", "settings"})

MAY_IMPORT: Final[Mapping[str, frozenset[str]]] = {
    "errors": frozenset(),
    "contract": frozenset({"errors"}),
    "core": frozenset({"errors", "contract"}),
    "ports": frozenset({"errors", "contract", "core"}),
    "settings": frozenset({"errors", "contract", "core"}),
    "observability": frozenset({"errors", "settings"}),
    "systemd": frozenset({"errors", "settings", "observability"}),
    "reloading": frozenset({"errors", "settings"}),
    "metrics": _BASE | {"observability"},
    "supervisor": frozenset(),
    "loader": _BASE | {"observability"},
    "logs": _BASE | {"observability"},
    "store": _BASE | {"observability"},
    "runners": _BASE | {"observability", "supervisor"},
    "engine": _BASE | {"observability"},
    "foreground": _BASE | {"observability", "engine"},
    "testing": _BASE | {"observability"},
    "access": _BASE | {"observability", "supervisor"},
    "api": _BASE | {"observability", "loader", "logs", "store", "runners", "engine", "access", "metrics"},
    "web": _BASE
    | {"observability", "loader", "logs", "store", "runners", "engine", "access", "api", "metrics"},
    "client": frozenset({"errors", "contract"}),
    "cli": frozenset({"errors", "contract", "client", "loader", "settings"}),
}
"""What each part may import of the others. `daemon` wires everything, and `__main__` calls the CLI."""

WIRES_EVERYTHING: Final = frozenset({"daemon", "serving", "__main__"})

CLI_ALSO: Final = frozenset({"core.planner", "core.specs", "core.phases", "core.status"})
"""Pure modules of the core that the CLI needs: to plan, and to show what a status says."""

CLI_INSIDE_FUNCTIONS: Final = frozenset(
    {
        "daemon",
        "serving",
        "foreground",
        "logs",
        "observability",
        "engine.view",
        "store.upkeep",
        "store.mending",
    }
)
"""The composition root, and what a verb needs beside it once it runs; never while the CLI is imported."""

SUPERVISOR_OF_BOTH_ENDS: Final = frozenset(
    {"census", "cgroups", "channel", "client", "generation", "identity", "journal", "system"}
)
"""What the supervisor's process and its client share; how it starts and ends steps is its own affair."""

ONLY_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "networkx": ("core.planner",),
    "psutil": ("runners", "observability"),
    "rich": ("cli",),
    "click": ("cli",),
    "sqlite3": ("store",),
    "yaml": ("loader", "cli"),
}
"""Where an outside module may stand."""

PURE: Final = frozenset({"core", "contract"})
IO: Final = frozenset(
    {"os", "pathlib", "time", "random", "anyio", "asyncio", "subprocess", "logging", "structlog"}
)

READS_ENVIRONMENT: Final = ("settings", "supervisor")
"""`settings` is the way to the environment; the supervisor has none but its own."""

READS_CLOCK: Final = ("engine.clock", "supervisor", "testing")
CLOCKS: Final = frozenset(
    {
        ("time", "time"),
        ("time", "time_ns"),
        ("time", "monotonic"),
        ("time", "monotonic_ns"),
        ("time", "clock_gettime"),
        ("time", "clock_gettime_ns"),
        ("datetime", "now"),
        ("datetime", "utcnow"),
        ("datetime", "today"),
    }
)


class Where(Enum):
    """How an import stands in its module."""

    MODULE = "at its top"
    FUNCTION = "inside a function"
    TYPING = "for types only"


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module, by its full dotted name."""

    target: str
    line: int
    where: Where


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed module; `name` is dotted and lacks the package's own name: `core.planner`."""

    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def part(self) -> str:
        """The part of the project that it belongs to: the first word of its name."""
        return self.name.split(".")[0]


def read_tree(root: Path, package: str = "phased") -> list[Module]:
    """Every module under `root/package`, by name."""
    modules = []
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root / package).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        text = path.read_text(encoding="utf-8")
        modules.append(Module(name, path, ast.parse(text, str(path)), text.count("\n")))
    return modules


def violations(root: Path, package: str = "phased") -> list[str]:
    """Every breach of a rule in the tree, as `module:line: what is wrong`."""
    modules = read_tree(root, package)
    names = {module.name for module in modules}
    found: list[str] = []
    for module in modules:
        found += _shape(module)
        imports = list(_imports(module, package, names))
        found += [f"{module.name}:{line}: {text}" for line, text in _import_rules(module, imports, package)]
        found += [f"{module.name}:{line}: {text}" for line, text in _reads(module)]
    return list(dict.fromkeys(found))


def _shape(module: Module) -> Iterator[str]:
    if module.lines and not ast.get_docstring(module.tree):
        yield f"{module.name}:1: has no docstring"
    if module.lines > LONGEST:
        yield f"{module.name}:1: has {module.lines} lines; split it at a seam"


def _import_rules(module: Module, imports: list[Import], package: str) -> Iterator[tuple[int, str]]:
    for one in imports:
        top, _, rest = one.target.partition(".")
        if top == package:
            yield from _own(module, rest, one)
        else:
            yield from _foreign(module, top, one)


def _own(module: Module, target: str, one: Import) -> Iterator[tuple[int, str]]:
    part = target.partition(".")[0]
    if module.part in WIRES_EVERYTHING or part in {module.part, ""}:
        return
    if module.part == "cli" and _cli_may(target, one.where):
        return
    if part not in MAY_IMPORT.get(module.part, frozenset()):
        yield one.line, f"{module.part} must not import {target} ({one.where.value})"
    elif part == "supervisor" and target.rpartition(".")[2] not in SUPERVISOR_OF_BOTH_ENDS:
        yield (
            one.line,
            f"{module.part} must not import {target}: of the supervisor they see its client's side",
        )


def _cli_may(target: str, where: Where) -> bool:
    if where is Where.TYPING or any(_within(target, name) for name in CLI_ALSO):
        return True
    return where is Where.FUNCTION and any(_within(target, name) for name in CLI_INSIDE_FUNCTIONS)


def _foreign(module: Module, top: str, one: Import) -> Iterator[tuple[int, str]]:
    if module.part == "supervisor" and top not in sys.stdlib_module_names:
        yield one.line, f"supervisor must not import {top}: it is standard library only"
    if module.part in PURE and top in IO:
        yield one.line, f"{module.part} must not import {top}: it is pure"
    allowed = ONLY_IN.get(top)
    if allowed and not any(_within(module.name, name) for name in allowed):
        yield one.line, f"{module.name} must not import {top}: it stands in {' and '.join(allowed)} alone"


def _reads(module: Module) -> Iterator[tuple[int, str]]:
    for line, owner, name in _names_taken(module.tree):
        if owner == "os" and name in {"environ", "environb", "getenv"}:
            if not any(_within(module.name, one) for one in READS_ENVIRONMENT):
                yield line, f"{module.name} must not read os.{name}: settings does"
        elif (owner, name) in CLOCKS and not any(_within(module.name, one) for one in READS_CLOCK):
            yield line, f"{module.name} must not read {owner}.{name}: ask the clock's port"


def _names_taken(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each `owner.name` of the text, and each `from owner import name`."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                yield node.lineno, owner, name
            case ast.ImportFrom(module=str(owner), names=names, level=0):
                yield from ((node.lineno, owner, alias.name) for alias in names)


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _imports(module: Module, package: str, names: set[str]) -> Iterator[Import]:
    yield from _Reader(module, package, names).read(module.tree, Where.MODULE)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Finds the imports of one module, whatever they are nested in."""

    module: Module
    package: str
    names: set[str]

    def read(self, node: ast.AST, where: Where) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, where) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield from self._from(child, where)
            else:
                yield from self.read(child, self._inside(child, where))

    def _inside(self, node: ast.AST, where: Where) -> Where:
        if where is Where.TYPING or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            return Where.TYPING
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return Where.FUNCTION
        return where

    def _from(self, node: ast.ImportFrom, where: Where) -> Iterator[Import]:
        base = self._base(node)
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            inner = whole.removeprefix(f"{self.package}.")
            known = whole.startswith(f"{self.package}.") and inner in self.names
            yield Import(whole if known else base, node.lineno, where)

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        here = [self.package, *self.module.name.split(".")]
        is_package = self.module.path.name == "__init__.py"
        parents = here[: len(here) - node.level + (1 if is_package else 0)]
        return ".".join([*parents, *([node.module] if node.module else [])])
