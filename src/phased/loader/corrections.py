"""What was likely meant: the nearest word, and what to write instead of a wrong sort of value.

Knows words and nodes. Must not know positions, nor report anything.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

from phased.loader.nodes import Mapping, Node, Scalar, Sequence
from phased.loader.report import printable
from phased.loader.shapes import Choice, Listing, Table

_COMPARED = 500
"""Words that a wrong one is compared with at most, so that a huge file cannot take minutes."""


def likeliest(wrong: str, known: Iterable[str], *, cutoff: float = 0.7) -> str | None:
    """The known word that was meant, or None.

    The same but for case and separators, else the nearest in spelling, else one that is a part of it.
    """
    plain = {_plain(name): name for name in islice(known, _COMPARED) if name}
    meant = _plain(wrong[:200])
    if meant in plain:
        return plain[meant]
    near = difflib.get_close_matches(meant, plain, n=1, cutoff=cutoff)
    inside = [name for name in plain if len(name) > 3 and name.removesuffix("s") in meant]
    return plain[(near or inside)[0]] if near or inside else None


def _plain(word: str) -> str:
    return re.sub(r"[-_. ]", "", word).lower()


def end_of(path: str) -> str:
    """The last key of a path, with the numbers of items after it."""
    return path.rpartition(".")[2]


def last_of(path: str) -> str:
    """The same as messages name it."""
    return f"`{end_of(path)}`" if path else "the file"


def camel(key: str) -> str:
    """`depends_on` or `depends-on` as `dependsOn`."""
    head, *rest = re.split(r"[-_]", key)
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def own_name(node: Sequence) -> str:
    """What the first item of a list calls itself, as a reference."""
    for item in node.items[:1]:
        for key, value in item.entries if isinstance(item, Mapping) else []:
            if key.text in ("name", "id", "reference") and isinstance(value, Scalar):
                return _as_reference(value.text).lower()
    return ""


def _as_reference(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", text).strip("-")[:40]


def repaired(shape: Table, key: str) -> str:
    """What a key of a table may be, and what this one could be."""
    repaired = _as_reference(key)
    if shape.key != "a reference":
        return "letters, digits and `_`, no digit first"
    rule = "1 to 128 of letters, digits, `-` and `_`"
    return f"{rule}, for example `{repaired}`" if repaired else rule


def hint_for_text(node: Node) -> str:
    """What to do where a list or a mapping stands in place of text."""
    if isinstance(node, Sequence) and node.items and all(isinstance(item, Scalar) for item in node.items):
        return "write one text: `|` and one line for each item below it"
    return "quote it, if the brackets or braces are part of the text"


def hint_for_list(shape: Listing, node: Node, path: str) -> str:
    """What to do where something else stands in place of a list."""
    key = end_of(path)
    if isinstance(node, Scalar):
        return f"write it as a list: `{key}: [{printable(node.text.strip())}]`"
    if isinstance(node, Mapping) and isinstance(shape.of, Choice):
        chosen = [found for name, _ in node.entries if (found := likeliest(name.text, shape.of.values))]
        if chosen:
            return f"write it as a list: `{key}: [{', '.join(chosen)}]`"
    names = [printable(name.text) for name, _ in node.entries[:3]] if isinstance(node, Mapping) else []
    return f"write it as a list: `{key}: [{', '.join(names)}]`"
