"""Finding executions in the history by what a person types: an id, its beginning, or a task's reference.

Knows the reading half of the store. Must not know how anything is shown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from phased.errors import NotFound

if TYPE_CHECKING:
    from phased.ports import StoredExecution
    from phased.store.readonly import ReadonlyStore

_WHOLE: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING: Final = re.compile(r"[0-9a-f-]{4,36}")
ALL: Final = 1_000_000
"""More executions than a history holds."""


def looks_like_id(text: str) -> bool:
    """Whether nobody would call a task so."""
    return (
        _WHOLE.fullmatch(text) is not None or re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f-]*)?", text) is not None
    )


async def by_id(store: ReadonlyStore, text: str) -> StoredExecution | None:
    """The execution with this id, or the only one whose id begins so. Raises NotFound for several."""
    if _BEGINNING.fullmatch(text) is None:
        return None
    found = await store.find(text)
    if len(found) > 1:
        ids = ", ".join(one.record.id for one in found[:5])
        raise NotFound(f"cannot tell which execution {text} is: {ids}; give more of its id")
    return found[0] if found else None


async def newest(store: ReadonlyStore, text: str) -> StoredExecution:
    """The newest execution of a task, else the one with this id. Raises NotFound."""
    if _WHOLE.fullmatch(text) is None and (found := await store.list(reference=text, limit=1)):
        return found[0]
    one = await by_id(store, text)
    if one is None:
        raise NotFound(
            f"cannot find an execution {text!r}: it is neither an id nor a task that has run; "
            "`phased executions` shows what there is"
        )
    return one
