"""A client that costs little: requests on unix sockets as bytes, answers read as they are framed."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.running import Failed


def request(path: str, body: Mapping[str, Any]) -> bytes:
    """A POST of JSON, to be sent again and again."""
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + f"Content-Length: {len(data)}\r\n\r\n".encode() + data


class Connection:
    """One connection that is kept."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send one request."""
        self.socket.sendall(data)

    def answer(self) -> bytes:
        """The body of one answer. Raises Failed for an error."""
        status = self.file.readline()
        length: int | None = None
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = self._chunks() if length is None else self.file.read(length)
        if b" 200 " not in status:
            raise Failed(f"{status!r}: {body!r}")
        return body

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.file.readline(), 16):
            body += self.file.read(size)
            self.file.readline()
        self.file.readline()
        return body

    def call(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """One method."""
        self.send(request(path, body))
        return json.loads(self.answer())

    def stream(self, path: str, body: Mapping[str, Any]) -> None:
        """Begin a stream of lines; returns once it is live."""
        self.send(request(path, body))
        self.line()

    def line(self) -> bytes:
        """The next object of a stream (the chunks of HTTP around it are passed over)."""
        while not (line := self.file.readline()).startswith(b"{"):
            if not line:
                raise Failed("a stream ended")
        return line

    def close(self) -> None:
        """Close it."""
        self.file.close()
        self.socket.close()


def rate(path: Path, data: bytes, seconds: float, connections: int = 8) -> float:
    """How many of this request are answered in a second."""
    opened = [Connection(path) for _ in range(connections)]
    count = 0
    with selectors.DefaultSelector() as selector:
        for one in opened:
            selector.register(one.socket, selectors.EVENT_READ, one)
            one.send(data)
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for key, _ in selector.select(10):
                key.data.answer()
                key.data.send(data)
                count += 1
        lasted = time.perf_counter() - begun
    for one in opened:
        one.answer()
        one.close()
    return count / lasted
