"""Where an automations file is, and its bytes: found in the workspace, read with a bound, decoded.

Knows the file system and encodings. Must not know YAML.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from pathlib import Path

from phased.errors import FileUnreadable
from phased.loader.report import Report, Source

MAX_BYTES = 4 * 1024 * 1024
"""A larger file is refused: the largest real one is a few KiB, and a device never ends."""

PLACES = tuple(
    f"{stem}.{suffix}"
    for stem in (".ona/config", ".ona/automations", ".gitpod/automations")
    for suffix in ("yaml", "yml")
)
"""In the order of precedence (`semantics: The automations file`)."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
# Rule c-printable of YAML 1.2; a byte order mark in the middle is none of the file's text either.
_NOT_ALLOWED = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def find(workspace: Path) -> Path:
    """The automations file of a workspace: the first of PLACES that is there.

    Raises FileUnreadable, naming all places, if none is.
    """
    try:
        if not workspace.is_dir():
            raise FileUnreadable(
                f"cannot find the workspace directory {workspace}; give another with --directory"
            )
        for place in PLACES:
            if (workspace / place).exists():
                return workspace / place
    except OSError as error:
        raise FileUnreadable(
            f"cannot look for an automations file in {workspace}: {error.strerror}"
        ) from error
    raise FileUnreadable(
        f"cannot find an automations file in {workspace}: looked for {', '.join(PLACES)}; "
        "write one of these, or name a file with --file"
    )


def find_own(workspace: Path) -> Path:
    """As `find`, for a process that may read more than the owner of the workspace: no link is to use that.

    What it leads to lies in the workspace, or is the same user's. Raises FileUnreadable.
    """
    file = find(workspace)
    try:
        inside = file.resolve().is_relative_to(workspace.resolve())
        if os.geteuid() != 0 or inside or file.stat().st_uid == workspace.stat().st_uid:
            return file
    except OSError as error:
        raise FileUnreadable(f"cannot read {file}: {error.strerror}") from error
    raise FileUnreadable(
        f"cannot use {file}: it is a link that leads out of the workspace, to a file of another user; "
        "put a copy in its place"
    )


def read_bytes(file: Path) -> bytes:
    """All of a file, or of standard input where it is named `-`. Raises FileUnreadable."""
    try:
        if str(file) == "-":
            if sys.stdin is None:
                raise FileUnreadable("cannot read standard input: it is closed; name a file")
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise FileUnreadable(f"cannot find the file {file}; check the path") from error
    except IsADirectoryError as error:
        raise FileUnreadable(f"cannot read {file}: it is a directory; name a file in it") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileUnreadable(f"cannot read {file}: {reason}; name a file that can be read") from error
    return bounded(data, str(file))


def bounded(data: bytes, name: str) -> bytes:
    """The same bytes. Raises FileUnreadable if there are more than MAX_BYTES."""
    if len(data) > MAX_BYTES:
        limit = MAX_BYTES // (1024 * 1024)
        raise FileUnreadable(
            f"cannot read {name}: it is larger than {limit} MiB; move large scripts to files"
        )
    return data


def decode(data: bytes) -> tuple[str, tuple[int, str] | None]:
    """The text (without a byte order mark), and where and why it is not all of the file, or None.

    Bytes that are no text are in it as U+FFFD, so that a position can be told.
    """
    mark, encoding = next((entry for entry in _MARKS if data.startswith(entry[0])), (b"", "utf-8"))
    body = data[len(mark) :]
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        offset = len(body[: error.start].decode(encoding))
        byte = body[error.start]
        shown = body.decode(encoding, "replace")
        return shown, (offset, f"byte 0x{byte:02x} is not {encoding.upper()}")
    found = _NOT_ALLOWED.search(text)
    if found is not None:
        return text, (found.start(), f"the control character U+{ord(found[0]):04X} may not stand in YAML")
    return text, None


def open_report(data: bytes, *, lenient: bool, portable: bool) -> Report:
    """A report on these bytes, which has an error already if they are no text."""
    text, fault = decode(data)
    report = Report(Source(text), lenient=lenient, portable=portable)
    if fault is not None:
        offset, reason = fault
        hint = "save the file as UTF-8 text"
        line = report.source.line_at(offset)
        report.error(offset, "", f"cannot read this as text: {reason}", hint=hint, text=line)
    return report
