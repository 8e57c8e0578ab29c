"""What is wrong with a file, and where: diagnostics, and the collector that the other modules report to.

Knows positions and severities. Must not know YAML, nor what a file may hold.
Positions inside this package are offsets in characters; only a diagnostic has a line and a column.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

MAX_DIAGNOSTICS = 1000
"""More would help nobody and let a hostile file fill the memory; the last one then says so."""

MAX_QUOTED = 60
"""Characters of the file that one message quotes at most."""

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to mend. `line` and `column` (in characters) count from 1."""

    severity: Severity
    line: int
    column: int
    path: str
    """Where in the structure: `tasks.build.dependsOn[0]`; empty for the file itself."""
    message: str
    hint: str = ""
    """The likeliest correction, or empty."""
    text: str = ""
    """The offending text, short, on one line and without control characters."""

    def render(self, file: str) -> str:
        """`FILE:LINE:COLUMN: error: MESSAGE`, below it the text unless the message shows it, and the hint."""
        lines = [f"{escaped(file)}:{self.line}:{self.column}: {self.severity}: {self.message}"]
        if self.text and self.text not in self.message:
            lines.append(f"    | {self.text}")
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, str | int]:
        """The entry of `validate -o json`."""
        return {
            "severity": self.severity,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
        }


class TooMany(Exception):
    """No error: the way out of a file that has more of them than one can read. The report says so."""


class Source:
    """A file's text, and the way from an offset to line and column. CR, LF and CRLF end a line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._starts = [0]
        position = 0
        for line in text.splitlines(keepends=True):
            position += len(line)
            if line[-1] in "\r\n":
                self._starts.append(position)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, which is clamped into the text."""
        inside = max(0, min(offset, len(self.text)))
        line = bisect_right(self._starts, inside)
        return line, inside - self._starts[line - 1] + 1

    def line_at(self, offset: int) -> str:
        """The line that holds the offset, without its end and its outer blanks."""
        line, _ = self.position(offset)
        end = self._starts[line] if line < len(self._starts) else len(self.text)
        return self.text[self._starts[line - 1] : end].strip()


class Report:
    """Collects diagnostics of one file. An error makes the file invalid, a warning does not."""

    def __init__(self, source: Source, *, lenient: bool = False, portable: bool = False) -> None:
        self.source = source
        self.lenient = lenient
        self.portable = portable
        self._found: dict[tuple[int, str, str], Diagnostic] = {}

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(found.severity == "error" for found in self._found.values())

    def error(self, at: int, path: str, message: str, *, hint: str = "", text: str = "") -> None:
        """The file cannot be used because of this. Raises TooMany once the report is full."""
        self._add("error", at, path, message, hint, text)

    def warning(self, at: int, path: str, message: str, *, hint: str = "", text: str = "") -> None:
        """The file can be used, and still somebody should look. Raises TooMany once the report is full."""
        self._add("warning", at, path, message, hint, text)

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All of them, in the file's order."""
        return tuple(sorted(self._found.values(), key=lambda found: (found.line, found.column)))

    def _add(self, severity: Severity, at: int, path: str, message: str, hint: str, text: str) -> None:
        # What an alias repeats is wrong in one place only, so one place and one sentence are one diagnostic.
        key = (at, severity, message)
        if key in self._found:
            return
        line, column = self.source.position(at)
        if len(self._found) == MAX_DIAGNOSTICS:
            message = f"cannot list more than {MAX_DIAGNOSTICS} errors and warnings of one file"
            self._found[key] = Diagnostic("error", line, column, "", message, "mend these first")
            raise TooMany
        self._found[key] = Diagnostic(severity, line, column, path, message, hint, printable(text))


def quoted(text: str) -> str:
    """For a message: in backticks, on one line, short, and harmless to a terminal."""
    return f"`{printable(text)}`"


def printable(text: str) -> str:
    """Cut to MAX_QUOTED characters, and escaped."""
    return escaped(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}...")


def escaped(text: str) -> str:
    """On one line, with all that does not print in the form of an escape: a terminal's orders too."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
