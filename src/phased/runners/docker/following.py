"""Goes on with a container's log where its client left off: a program of its own, standard library only.

    python -I -S following.py LOG BEGAN COMMAND...

COMMAND writes all that the engine has recorded of the container, and goes on. LOG has, from byte BEGAN, what
earlier clients wrote: what they said themselves while they pulled, a beginning of the container's output, and
at the end perhaps their complaints. What of the output LOG does not have yet goes to standard output.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys

_QUIET = 1.0
"""Seconds without output after which no more is waited for to compare."""
_COMPLAINTS = 8
"""Lines at the end of the log that may be a client's own words."""
_COMPARED = 512
_HEAD = 1 << 20
_CHUNK = 1 << 16


class Stream:
    """What the engine has, with as much looked ahead as is asked for."""

    def __init__(self, descriptor: int) -> None:
        """Reads from here."""
        self._descriptor = descriptor
        self.ahead = b""
        self.ended = False

    def look(self, length: int) -> bytes:
        """The next so many bytes, less where no more come for a while; they stay."""
        while len(self.ahead) < length and not self.ended and self._waits():
            self._read()
        return self.ahead[:length]

    def look_line(self) -> bytes:
        """The next line, or what of it is there; it stays."""
        while b"\n" not in self.ahead and len(self.ahead) < _CHUNK and not self.ended and self._waits():
            self._read()
        return self.ahead[: self.ahead.find(b"\n") + 1] or self.ahead

    def skip(self, length: int) -> None:
        """Leave so many bytes out, or what there is of them."""
        while length > 0:
            if not self.look(1):
                return
            dropped = min(length, len(self.ahead))
            self.ahead = self.ahead[dropped:]
            length -= dropped

    def copy(self, target: int) -> None:
        """All the rest, as it comes."""
        while True:
            while self.ahead:
                self.ahead = self.ahead[os.write(target, self.ahead) :]
            if self.ended:
                return
            self._read()

    def _waits(self) -> bool:
        return bool(select.select([self._descriptor], [], [], _QUIET)[0])

    def _read(self) -> None:
        more = os.read(self._descriptor, _CHUNK)
        self.ended = not more
        self.ahead += more


def already_there(stream: Stream, log: int, began: int) -> int:
    """Skip what of the stream the log has; how many bytes that is."""
    size = os.fstat(log).st_size
    line = stream.look_line()
    head = os.pread(log, _HEAD, began)
    chatter = head.find(line) if line else -1
    if chatter < 0:
        part = _begun(head, line)
        stream.skip(part)
        return part
    written = size - began - chatter
    tail = os.pread(log, _CHUNK, max(began + chatter, size - _CHUNK))
    lengths = [0]
    for text in reversed(tail.splitlines(keepends=True)[-_COMPLAINTS:]):
        lengths.append(lengths[-1] + len(text))
    return _aligned(stream, tail, written, [one for one in lengths if one <= written])


def _begun(head: bytes, line: bytes) -> int:
    """How many bytes of the first line stand at the end: a line that was cut."""
    last = head[head.rfind(b"\n") + 1 :]
    return len(last) if line.startswith(last) else 0


def _aligned(stream: Stream, tail: bytes, written: int, lengths: list[int]) -> int:
    """Of so many lines at the end that may be complaints, the fewest with which the rest fits the stream."""
    reach = written - lengths[-1]
    before = min(reach, _COMPARED)
    stream.skip(reach - before)
    seen = stream.look(before + lengths[-1])
    for complaints in lengths:
        carried = tail[: len(tail) - complaints][-_COMPARED:]
        at = before + lengths[-1] - complaints
        known = seen[max(0, at - len(carried)) : at]
        if at <= len(seen) and carried.endswith(known):
            stream.skip(at)
            return written - complaints
    stream.skip(before)
    return reach


def main(arguments: list[str]) -> int:
    """Follow; the status is the command's."""
    path, began, *command = arguments
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None  # noqa: S101 - for the type; it is a pipe
        stream = Stream(process.stdout.fileno())
        log = os.open(path, os.O_RDONLY)
        already_there(stream, log, int(began))
        os.close(log)
        stream.copy(1)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
