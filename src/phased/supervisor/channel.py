"""One end of a connection: messages as JSON lines, never blocking, with descriptors beside them.

Knows bytes and JSON. Must not know what a message means. Both ends use it (rule 6).
"""

from __future__ import annotations

import os
import socket
from array import array
from collections import deque
from json import JSONDecodeError, JSONEncoder, loads

from phased.supervisor.actions import SCM_RIGHTS, Actions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

PROTOCOL = 1
"""Version of the messages (rule 9). Grows when an older end would misunderstand."""

_encode = JSONEncoder(separators=(",", ":")).encode
_READ = 1 << 18
_TRUNCATED = int(socket.MSG_CTRUNC)  # as an enum it costs as much as the call
_MOST_DESCRIPTORS = 250  # the kernel takes 253 in one message: SCM_MAX_FD, unix(7)
_ANCILLARY = socket.CMSG_SPACE(_MOST_DESCRIPTORS * 4)
_LONGEST_LINE = 1 << 28


class Channel:
    """`receive` and `send` messages; `closed` once the other end is gone or has sent nonsense."""

    __slots__ = (
        "_actions",
        "_descriptors",
        "_incomplete",
        "_posted",
        "_read",
        "_unsent",
        "backlog",
        "closed",
        "socket",
    )

    def __init__(self, connection: socket.socket, actions: Actions | None = None) -> None:
        """Takes the socket over."""
        connection.setblocking(False)
        self.socket = connection
        self.closed = False
        self.backlog = 0
        """Bytes that the other end has not taken yet."""
        self._descriptors: deque[int] = deque()
        self._incomplete = False
        self._actions = actions or Actions()
        self._posted = b""
        self._read = bytearray()
        self._unsent: deque[tuple[bytes, bytes]] = deque()

    def fileno(self) -> int:
        """For who waits on it."""
        return self.socket.fileno()

    def receive(self) -> list[dict[str, Any]]:
        """The messages that are complete by now."""
        self._fill()
        end = self._read.rfind(b"\n")
        if end < 0:
            self.closed = self.closed or len(self._read) > _LONGEST_LINE
            return []
        lines = self._read[:end]
        del self._read[: end + 1]
        try:
            return [loads(line) for line in lines.split(b"\n")]
        except (JSONDecodeError, UnicodeDecodeError):
            self.closed = True
            return []

    def _fill(self) -> None:
        while not self.closed:
            try:
                data, beside, flags, _ = self.socket.recvmsg(_READ, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data, beside, flags = b"", [], 0
            self._incomplete = self._incomplete or bool(flags & _TRUNCATED)
            for level, kind, value in beside:
                if level == socket.SOL_SOCKET and kind == SCM_RIGHTS:
                    whole = value[: len(value) - len(value) % 4]
                    self._descriptors.extend(array("i", whole))
            if not data:
                self.closed = True
            self._read += data
            if len(data) < _READ and not beside:
                return

    def take_descriptor(self) -> int | None:
        """The next one that came beside the messages; the caller owns it.

        None for ever once this process had no room for one: which is whose cannot be told any more.
        """
        if not self._descriptors:
            return None
        descriptor = self._descriptors.popleft()
        if self._incomplete:
            os.close(descriptor)
            return None
        return descriptor

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Send, or keep until `flush`; at most 250 descriptors, which stay the caller's."""
        if self.closed:
            return
        data, self._posted = self._posted + _encode(message).encode() + b"\n", b""
        beside = array("i", descriptors).tobytes() if descriptors else b""
        if not self._unsent:
            sent = self._send(data, beside)
            if sent == len(data):
                return
            if sent:
                data, descriptors = data[sent:], ()
        # They are sent later, when the caller may have closed its own.
        kept = array("i", [os.dup(d) for d in descriptors]).tobytes() if descriptors else b""
        self._unsent.append((data, kept))
        self.backlog += len(data)

    def post(self, message: dict[str, Any]) -> None:
        """Keep until the next `send`, and send it before that: one call for both, one waking up."""
        self._posted += _encode(message).encode() + b"\n"

    def flush(self) -> None:
        """Send what was kept, as far as the other end takes it."""
        while self._unsent and not self.closed:
            data, kept = self._unsent[0]
            sent = self._send(data, kept)
            if not sent:
                return
            _close_all(kept)
            self.backlog -= sent
            if sent < len(data):
                self._unsent[0] = (data[sent:], b"")
                return
            self._unsent.popleft()

    def _send(self, data: bytes, beside: bytes) -> int:
        try:
            return self._actions.send(self.socket, data, beside)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.closed = True
            return 0

    def close(self) -> None:
        """Let go of everything, also of descriptors that nobody took."""
        self.closed = True
        self.socket.close()
        for _, kept in self._unsent:
            _close_all(kept)
        self._unsent.clear()
        while self._descriptors:
            os.close(self._descriptors.popleft())


def _close_all(descriptors: bytes) -> None:
    for descriptor in array("i", descriptors):
        os.close(descriptor)
