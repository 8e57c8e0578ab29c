"""What stands before every request: the pace of bodies, and the names that are answered."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from phased.api import gate
from phased.api.failures import Refusal
from phased.api.gate import Answer, Listener, PacedBody
from phased.contract.error_code import ErrorCode

pytestmark = pytest.mark.anyio
TCP = Listener("http://127.0.0.1:7000", local=False, names=frozenset({"127.0.0.1:7000", "box.example"}))


class Client:
    """Sends these pieces of a body, and then nothing more."""

    def __init__(self, *pieces: bytes, whole: bool = True) -> None:
        self.pieces = list(pieces)
        self._whole = whole

    async def __call__(self) -> dict[str, Any]:
        """The next piece."""
        if not self.pieces:
            await anyio.sleep_forever()
        body = self.pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.pieces) or not self._whole}


async def test_half_of_a_request_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece has its time; what was said meanwhile is `deadline_exceeded`."""
    monkeypatch.setattr(gate, "PATIENCE", 0.01)
    body = PacedBody(Client(b"{", whole=False))
    assert (await body())["body"] == b"{"
    with pytest.raises(Refusal, match="nothing of it came") as refused:
        await body()
    assert refused.value.code is ErrorCode.DEADLINE_EXCEEDED
    await body.drain()  # does not wait again


async def test_the_rest_of_a_refused_body_is_thrown_away() -> None:
    """Else the client would not hear why: its connection would be reset while it still sends."""
    client = Client(b"x" * 1000, b"y" * 1000, b"z")
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    answer = Answer(send, PacedBody(client))
    await answer({"type": "http.response.start", "status": 429, "headers": []})
    assert client.pieces == []
    assert sent[0]["status"] == answer.status == 429


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:7000", True),
        ("box.example", True),
        ("BOX.example", True),
        ("10.0.0.7:7000", True),  # an address cannot be rebound
        ("[::1]:7000", True),
        ("box.example.evil", False),
        ("evil.example:7000", False),
        ("localhost:7001", False),
        ("[::1", False),
        ("", False),
    ],
)
async def test_hosts_that_are_answered(host: str, known: bool) -> None:
    """On TCP; on the socket any, since nobody gets there by a name."""
    scope: dict[str, Any] = {"headers": [(b"host", host.encode())], "scheme": "http"}
    Listener("http://localhost", local=True).check(scope)
    if known:
        TCP.check(scope)
        assert TCP.origin_of(scope) == f"http://{host.lower()}"
    else:
        with pytest.raises(Refusal, match="under this Host"):
            TCP.check(scope)
