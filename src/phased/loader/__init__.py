"""From an automations file to what it defines, with the position of everything that is wrong.

    find(workspace) -> Path                  where the file is
    find_own(workspace) -> Path              the same, where links must not lead to files of others
    read(file) -> LoadedFile                 what it says, and all errors and warnings
    definitions(loaded) -> Definitions       the same, or InvalidFile
    schema() -> dict                         its JSON Schema

Knows files, YAML and the format. Must not know stores, runs or the API. The parser and the definitions
are imported by the first `read`, so that importing this package costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phased.errors import InvalidFile
from phased.loader.report import Diagnostic, escaped

if TYPE_CHECKING:
    from phased.contract.definitions import Definitions
    from phased.loader.report import Report

__all__ = ["Diagnostic", "LoadedFile", "definitions", "find", "find_own", "read", "schema"]


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """What came of reading a file; `definitions` is there if there are no errors."""

    file: str
    definitions: Definitions | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def valid(self) -> bool:
        """Whether it can be used; it may have warnings all the same."""
        return self.definitions is not None

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """Only what makes it invalid."""
        return tuple(found for found in self.diagnostics if found.severity == "error")

    @property
    def shown_file(self) -> str:
        """The file's name as a terminal may see it."""
        return escaped(self.file)

    def render(self) -> str:
        """All diagnostics as text, each with its position; empty where there are none."""
        return "\n".join(found.render(self.file) for found in self.diagnostics)


def find(workspace: Path) -> Path:
    """The automations file of a workspace directory. Raises FileUnreadable naming all places looked at."""
    from phased.loader import files  # noqa: PLC0415 - see the module's docstring

    return files.find(workspace)


def find_own(workspace: Path) -> Path:
    """As `find`, for a daemon of root: a link must not lead to what the workspace's owner may not read.

    Raises FileUnreadable.
    """
    from phased.loader import files  # noqa: PLC0415 - see the module's docstring

    return files.find_own(workspace)


def read(
    file: Path | None, *, text: bytes | None = None, lenient: bool = False, portable: bool = False
) -> LoadedFile:
    """Read a file (`-` and None: standard input), or `text` under that name; bytes in, diagnostics out.

    `lenient` makes unknown keys warnings, `portable` refuses this project's extensions. Whatever the
    content is, it is told by diagnostics. Raises FileUnreadable if there is no content, or over 4 MiB.
    """
    from phased.loader import files  # noqa: PLC0415 - see the module's docstring

    name = str(file) if file is not None else "-"
    data = files.read_bytes(Path(name)) if text is None else files.bounded(text, name)
    report = files.open_report(data, lenient=lenient, portable=portable)
    return LoadedFile(name, _understand(report), report.diagnostics())


def definitions(loaded: LoadedFile) -> Definitions:
    """What the file defines. Raises InvalidFile, which holds the errors, if it has any."""
    if loaded.definitions is None:
        raise InvalidFile(loaded.file, loaded.errors)
    return loaded.definitions


def schema() -> dict[str, Any]:
    """The file's JSON Schema, draft 2020-12."""
    from phased.loader import json_schema  # noqa: PLC0415 - see the module's docstring

    return json_schema.schema()


def _understand(report: Report) -> Definitions | None:
    from phased.loader import build, fields, graph, nodes, parse, reader  # noqa: PLC0415 - as above
    from phased.loader.report import TooMany  # noqa: PLC0415 - as above

    try:
        root = None if report.failed else parse.parse(report)
        values: Any = {}
        if root is not None and not nodes.is_null(root):
            values = reader.Reader(report).read(fields.FILE, root, "", root.at)
            if isinstance(root, nodes.Mapping):
                graph.check(root, report)
    except TooMany:
        return None
    return None if report.failed else build.build(values)
