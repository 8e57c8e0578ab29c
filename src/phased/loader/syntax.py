"""What a YAML parser's complaint means to somebody who wrote an automations file.

Knows libyaml's sentences (scanner.c, parser.c) and where it leaves its marks; must not know the file's keys.
"""

from __future__ import annotations

from collections.abc import Callable

import yaml

from phased.loader.report import Report, printable

OffsetOf = Callable[[int], int]
"""From an offset that the parser names to one in the file's text."""

_SCRIPT = "a script of several lines is indented below `command: |`"
_INDENT = "check the indentation of this line and of those above it"

# What the parser's problem (or its context) contains -> what to say, what to do. The first match counts.
_EXPLAINED: tuple[tuple[str, str, str], ...] = (
    (
        "mapping values are not allowed",
        "a `key: value` cannot stand here",
        f"{_INDENT}, or quote the text, if the colon belongs to it",
    ),
    ("could not find expected ':'", "a key and a colon are missing in this line", _SCRIPT),
    ("did not find expected key", "a key of the mapping was expected here", _INDENT),
    ("did not find expected '-' indicator", "the next `- ` of the list was expected here", _INDENT),
    (
        "block sequence entries are not allowed",
        "a `- ` cannot begin a list here",
        "put the list into lines of its own",
    ),
    ("did not find expected ',' or ']'", "a list in brackets is not closed", "add a comma or `]`"),
    ("did not find expected ',' or '}'", "a mapping in braces is not closed", "add a comma or `}`"),
    (
        "unknown escape",
        "this backslash sequence does not exist",
        "use single quotes: a backslash is plain there",
    ),
    ("escape", "this backslash sequence is not complete", "use single quotes: a backslash is plain there"),
    ("quoted scalar", "a quote is not closed", "close the quote that begins here"),
    ("tab", "a tab cannot indent", "indent with spaces"),
    (
        "did not find expected alphabetic or numeric",
        "a name must follow `*` or `&`",
        "quote the text, if it is one",
    ),
    (
        "block scalar",
        "what follows `|` or `>` cannot be read",
        "nothing but a comment follows `|` or `>` in its line",
    ),
    ("document start", "the document has ended above", "one file holds one document"),
    ("nesting depth", "this nests too deeply", "a file needs no more than a few levels"),
    ("directive", "a line that begins with `%` is an order to the parser", "quote it, or indent it"),
)
_ABOUT_THE_BEGINNING = ("could not find expected ':'", "unexpected end of stream", "alphabetic or numeric")
"""Complaints whose cause is where the thing began, not where the parser gave up."""


def explain(error: yaml.MarkedYAMLError, report: Report, offset_of: OffsetOf) -> None:
    """Report a parser's error in plain words, at the place that has to be changed."""
    problem, context = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    at = offset_of(mark.index) if mark is not None else 0
    said = f"{problem} {context}"
    if error.context_mark is not None and any(words in problem for words in _ABOUT_THE_BEGINNING):
        at = offset_of(error.context_mark.index)
    message, hint = _meaning(said, report.source.text[at : at + 1])
    report.error(at, "", f"cannot parse the YAML: {message}", hint=hint, text=report.source.line_at(at))


def _meaning(said: str, character: str) -> tuple[str, str]:
    if "cannot start any token" in said:
        if character == "\t":
            return "a tab cannot indent", "indent with spaces"
        return f"{printable(character)} cannot begin a value", "quote the value"
    for words, message, hint in _EXPLAINED:
        if words in said:
            return message, hint
    return said.strip(), ""
