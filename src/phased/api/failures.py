"""What an error means to a client: the code of Connect, the HTTP status, the body.

Knows the exception tree and the table of codes. Must not know requests. What is no PhasedError is a bug:
the client is told `internal` and nothing of its text, which could hold a secret.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any, Final

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from pydantic import ValidationError

from phased import errors
from phased.contract.error_code import ErrorCode
from phased.contract.violations import summary
from phased.observability import logger

STATUS: Final[Mapping[ErrorCode, int]] = {
    ErrorCode.CANCELED: 499,
    ErrorCode.UNKNOWN: 500,
    ErrorCode.INVALID_ARGUMENT: 400,
    ErrorCode.DEADLINE_EXCEEDED: 504,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.ALREADY_EXISTS: 409,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.RESOURCE_EXHAUSTED: 429,
    ErrorCode.FAILED_PRECONDITION: 400,
    ErrorCode.ABORTED: 409,
    ErrorCode.OUT_OF_RANGE: 400,
    ErrorCode.UNIMPLEMENTED: 501,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
    ErrorCode.DATA_LOSS: 500,
    ErrorCode.UNAUTHENTICATED: 401,
}
"""`wire-api: Rules`, rule 5, and the Connect protocol's own table."""

RETRIED: Final = frozenset({408, 409, 429})
"""Statuses below 500 that clients of the first generation send again, unless told not to (rule 6)."""

CODES: Final[Mapping[type[errors.PhasedError], ErrorCode]] = {
    errors.InvalidFile: ErrorCode.INVALID_ARGUMENT,
    errors.InvalidArgument: ErrorCode.INVALID_ARGUMENT,
    errors.PlanError: ErrorCode.INVALID_ARGUMENT,
    errors.OutputRefused: ErrorCode.INVALID_ARGUMENT,
    errors.NotFound: ErrorCode.NOT_FOUND,
    errors.AlreadyExists: ErrorCode.ALREADY_EXISTS,
    errors.FailedPrecondition: ErrorCode.FAILED_PRECONDITION,
    errors.PermissionDenied: ErrorCode.PERMISSION_DENIED,
    errors.Unauthenticated: ErrorCode.UNAUTHENTICATED,
    errors.Unavailable: ErrorCode.UNAVAILABLE,
    errors.Unsupported: ErrorCode.UNIMPLEMENTED,
    errors.StaleVersion: ErrorCode.ABORTED,
    errors.StoreFull: ErrorCode.RESOURCE_EXHAUSTED,
    errors.StoreUnreadable: ErrorCode.DATA_LOSS,
    errors.StoreError: ErrorCode.UNAVAILABLE,
    errors.StateDirectoryHeld: ErrorCode.UNAVAILABLE,
    errors.RunnerError: ErrorCode.UNAVAILABLE,
    errors.FellBehind: ErrorCode.ABORTED,
    errors.PhasedError: ErrorCode.INTERNAL,
}
"""An error that is not here counts as the nearest of its bases."""

_SHOWN: Final = 20
"""Errors of a file that a client is told of."""
_INTERNAL: Final = "cannot answer: an unexpected error in the daemon; its log says which (request_failed)"


class Refusal(errors.PhasedError):
    """A request that is refused with a code of its own; the message goes to the client as it is."""

    def __init__(self, code: ErrorCode, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = STATUS[code] if status is None else status


def code_of(error: errors.PhasedError) -> ErrorCode:
    """The code of an error: its own, else that of the nearest base that has one."""
    if isinstance(error, Refusal):
        return error.code
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def refuse(error: Exception, method: str) -> ConnectError:
    """What a client is told; what nobody expected is logged, without its text."""
    match error:
        case ConnectError():
            return error
        case errors.PhasedError():
            return ConnectError(Code(code_of(error).value), _text(error))
        case ValidationError():
            return ConnectError(Code.INVALID_ARGUMENT, summary(error))
        case _:
            logger("phased.api").error(
                "request_failed", method=method, kind=type(error).__name__, where=_where(error)
            )
            return ConnectError(Code.INTERNAL, _INTERNAL)


def status_of(error: ConnectError, source: Exception | None = None) -> int:
    """The HTTP status that goes with an error."""
    if isinstance(source, Refusal):
        return source.status
    return STATUS[ErrorCode(error.code.value)]


def body_of(error: ConnectError) -> bytes:
    """Connect's JSON of an error, which binary requests are answered with too."""
    return json.dumps({"code": error.code.value, "message": error.message}, ensure_ascii=False).encode(
        "utf-8", "replace"
    )


def _text(error: errors.PhasedError) -> str:
    """What a client is told; of a file, the first of what is wrong with it, each with its place."""
    if not isinstance(error, errors.InvalidFile):
        return str(error)
    found: list[Any] = list(error.diagnostics[:_SHOWN])
    return "; ".join([str(error), *(f"{one.line}:{one.column}: {one.message}" for one in found)])


def _where(error: BaseException) -> list[str]:
    """The innermost calls, by file and line: no values."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return [f"{frame.filename.rpartition('/phased/')[2]}:{frame.lineno} {frame.name}" for frame in frames]
