"""What a container's end, or its absence, means to its run.

Knows what the engine and the client say. Must not ask either, or know what is done about it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from phased.ports import RunExited, RunLost, RunReport
from phased.runners.docker.asking import Container, is_unreachable, lacks_shell, phrase_of
from phased.runners.docker.track import Track

REFUSED: Final = 125
"""The client's own failure, docker-run(1): no status of a container."""
NOT_STARTED: Final = frozenset({REFUSED, 126, 127})
"""What a client ends with where the container could not be started, docker-run(1)."""
_SIGNALLED: Final = 128
_LAST_WORDS: Final = 4096
"""Bytes of the log's end in which the client's complaint is looked for."""


def without_container(track: Track, code: int | None, at: int) -> RunReport:
    """Of one that no engine has; `code` is its client's, None where it has none."""
    run_id = track.record.run_id
    if track.asked:
        return RunExited(run_id, None, track.asked, at)
    words = last_words(track)
    refused = code == REFUSED or (code in NOT_STARTED and is_unreachable(words))
    if not track.record.was_made and code is None:
        return RunLost(run_id, "its client ended, and there is no container", at)
    if track.record.was_made or not refused:
        return RunLost(run_id, "its container is gone: somebody removed it", at)
    return RunLost(run_id, phrase_of(words, track.record.image), at)


def exited(track: Track, found: Container, at: int) -> RunExited:
    """Of one that has ended."""
    run_id, code, note = track.record.run_id, found.code, None
    if found.out_of_memory:
        note = "its container ran out of memory"
    elif code == 127 and lacks_shell(last_words(track)):
        note = f"the image {track.record.image} has no shell (sh); choose one that has"
    if track.asked and code == _SIGNALLED + track.asked:
        return RunExited(run_id, None, track.asked, at, note)
    return RunExited(run_id, code, None, at, note)


def last_words(track: Track) -> str:
    """The end of what this run has written to its log."""
    with suppress(OSError), open(track.record.log, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(track.record.began, size - _LAST_WORDS))
        return file.read().decode(errors="replace")
    return ""
