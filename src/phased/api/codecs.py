"""Messages as bytes: JSON always, binary protobuf where the extra `phased[proto]` is installed.

Knows the contract's encodings. Must not know methods. Errors are Connect's `invalid_argument`, and never
repeat what was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from pydantic import ValidationError

from phased.contract.base import Message, from_json, to_json
from phased.contract.violations import summary

if TYPE_CHECKING:
    from phased.api.binary import Schema

M = TypeVar("M", bound=Message)


class JsonCodec:
    """proto3 JSON."""

    def name(self) -> str:
        """As in `application/json`."""
        return "json"

    def encode(self, message: Message) -> bytes:
        """One line."""
        return to_json(message).encode("utf-8", "replace")

    def decode(self, data: bytes | bytearray, message_class: type[M]) -> M:
        """Nothing at all counts as an empty message. Raises ConnectError."""
        try:
            return from_json(message_class, bytes(data) or b"{}")
        except ValidationError as error:
            raise ConnectError(Code.INVALID_ARGUMENT, summary(error)) from error
        except (ValueError, RecursionError) as error:
            raise ConnectError(
                Code.INVALID_ARGUMENT, f"cannot read the request: it is no valid JSON ({_phrase(error)})"
            ) from error


class BinaryCodec:
    """Binary protobuf, over the descriptors that follow from the contract's classes."""

    def __init__(self) -> None:
        """Nothing is built before the first message."""
        self._schema: Schema | None = None

    def name(self) -> str:
        """As in `application/proto`."""
        return "proto"

    def encode(self, message: Message) -> bytes:
        """Raises ConnectError where the extra is missing."""
        return self._ready().encode(message)

    def decode(self, data: bytes | bytearray, message_class: type[M]) -> M:
        """Raises ConnectError."""
        schema = self._ready()
        try:
            return schema.decode(bytes(data), message_class)
        except ValidationError as error:
            raise ConnectError(Code.INVALID_ARGUMENT, summary(error)) from error
        except ValueError as error:
            raise ConnectError(
                Code.INVALID_ARGUMENT, "cannot read the request: it is no valid protobuf message"
            ) from error

    def _ready(self) -> Schema:
        if self._schema is None:
            try:
                from phased.api.binary import Schema  # noqa: PLC0415 - needs the extra
            except ImportError as error:
                raise ConnectError(
                    Code.UNIMPLEMENTED,
                    "cannot use binary messages: protobuf is not installed; install phased[proto] beside "
                    "the daemon, or send application/json",
                ) from error
            self._schema = Schema()
        return self._schema


def _phrase(error: Exception) -> str:
    """The parser's words without what was sent: they name a place, and the kind of mistake."""
    return str(error).partition("\n")[0][:200] if isinstance(error, ValueError) else "nested too deeply"
