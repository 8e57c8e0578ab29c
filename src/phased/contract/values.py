"""The kinds of values that fields hold, with their rules: one name for each rule of the contract.

Knows how proto3 JSON spells scalars and which of them a rule refuses. Must not know any message.
"""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as Base64Error
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StringConstraints

_TIMESTAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DURATION: Final = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s", re.ASCII)
_DURATION_LIMIT: Final = timedelta(seconds=315_576_000_000)
_INTEGER: Final = re.compile(r"-?\d{1,20}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")

_ABSOLUTE_PATH: Final = re.compile(r"/[^/].*")
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_AND_PORT: Final = re.compile(
    rf"(?:{_LABEL}[.])*{_LABEL}(?::(?:[1-9][0-9]{{0,3}}|[1-5][0-9]{{4}}|6[0-4][0-9]{{3}}|65[0-4][0-9]{{2}}"
    r"|655[0-2][0-9]|6553[0-5]))?"
)


def _check_uuid(value: str) -> str:
    if not _UUID.fullmatch(value):
        raise ValueError("must be a UUID")
    return value


def _check_uri(value: str) -> str:
    if not _URI.fullmatch(value):
        raise ValueError("must be a URI")
    return value


def _check_absolute_path(value: str) -> str:
    if not _ABSOLUTE_PATH.fullmatch(value):
        raise ValueError("must be an absolute path (e.g. /path/to/file)")
    return value


def _check_relative_path(value: str) -> str:
    if value.startswith("/"):
        raise ValueError("must be a path that is not absolute (does not start with a /)")
    return value


def _check_host(value: str) -> str:
    if not _HOST_AND_PORT.fullmatch(value):
        raise ValueError("must be a host name or IP address with an optional port")
    return value


def _check_readiness_timeout(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= timedelta(days=1):
        raise ValueError("must be a duration from 0s to 86400s")
    return value


def _check_disconnected_timeout(value: timedelta) -> timedelta:
    if value and value < timedelta(minutes=30):
        raise ValueError("must be 0s (disabled) or at least 1800s (30 minutes)")
    return value


def _read_timestamp(value: object) -> datetime:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("must be a time with a zone")
        return value.astimezone(UTC)
    found = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a time in RFC 3339, like 2026-01-31T10:00:00Z")
    seconds, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{seconds}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a time that exists, in the years 1 to 9999") from error
    return whole.replace(microsecond=int((fraction or "").ljust(6, "0")[:6]))


def _read_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a duration in seconds, like 30s or 1.5s")
    sign, seconds, fraction = found.groups()
    size = timedelta(seconds=int(seconds), microseconds=int((fraction or "").ljust(6, "0")[:6]))
    if size > _DURATION_LIMIT:
        raise ValueError("must be a duration of at most 315576000000s")
    return -size if sign else size


def _read_integer(value: object) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("must be a whole number")


def _read_uint64(value: object) -> str:
    number = _read_integer(value)
    if not 0 <= number < 2**64:
        raise ValueError("must be a whole number from 0 to 18446744073709551615")
    # A version is written with leading zeros: text stays as it came.
    return value if isinstance(value, str) else str(number)


def _read_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise ValueError("must be bytes in base64")
    try:
        padded = value + "=" * (-len(value) % 4)
        return urlsafe_b64decode(padded) if "-" in value or "_" in value else b64decode(padded, validate=True)
    except (ValueError, Base64Error):
        raise ValueError("must be bytes in base64") from None


Bool = StrictBool
Int32 = Annotated[int, BeforeValidator(_read_integer), Field(ge=-(2**31), le=2**31 - 1)]
Uint32 = Annotated[int, BeforeValidator(_read_integer), Field(ge=0, le=2**32 - 1)]
Uint64 = Annotated[str, BeforeValidator(_read_uint64)]
"""Decimal text, as in JSON: versions are compared as text."""
Bytes = Annotated[bytes, BeforeValidator(_read_bytes)]
Timestamp = Annotated[datetime, BeforeValidator(_read_timestamp)]
"""Aware, in UTC, to the microsecond."""
Duration = Annotated[timedelta, BeforeValidator(_read_duration)]

Uuid = Annotated[str, AfterValidator(_check_uuid)]
Uri = Annotated[str, AfterValidator(_check_uri)]
NotEmpty = Annotated[str, StringConstraints(min_length=1)]
Reference = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
"""What names a task or service in its environment."""
OutputKey = Annotated[str, StringConstraints(min_length=1, max_length=128)]
OutputValue = Annotated[str, StringConstraints(max_length=4096)]

TriggerName = Literal[
    "manual",
    "postMachineStart",
    "postEnvironmentStart",
    "postDevcontainerStart",
    "prebuild",
    "beforeSnapshot",
]
"""A trigger as an automations file spells it."""
ServiceTriggerName = Literal[
    "manual", "postMachineStart", "postEnvironmentStart", "postDevcontainerStart", "prebuild"
]
"""The triggers that a service can have."""
RoleName = Literal["", "default", "editor", "ai-agent"]
"""A service's role as an automations file spells it."""

EnvironmentName = Annotated[str, StringConstraints(max_length=80)]
NewEnvironmentName = Annotated[str, StringConstraints(max_length=128)]
ChangedPath = Annotated[str, StringConstraints(max_length=255)]
SecretName = Annotated[str, StringConstraints(min_length=3, max_length=127, pattern=r"^[0-9a-zA-Z_]{3,}$")]
SecretValue = Annotated[str, StringConstraints(max_length=10240)]
NewSecretValue = Annotated[str, StringConstraints(min_length=1, max_length=10240)]
ActivitySource = Annotated[str, StringConstraints(min_length=3, max_length=80)]
DisplayName = Annotated[str, StringConstraints(min_length=3, max_length=127)]
ClassDescription = Annotated[str, StringConstraints(min_length=3, max_length=200)]
PortName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
SearchText = Annotated[str, StringConstraints(max_length=256)]

AbsolutePath = Annotated[str, AfterValidator(_check_absolute_path)]
RelativePath = Annotated[str, AfterValidator(_check_relative_path)]
HostAndPort = Annotated[str, AfterValidator(_check_host)]

Port = Annotated[int, BeforeValidator(_read_integer), Field(ge=1024, le=65535)]
PageSize = Annotated[int, BeforeValidator(_read_integer), Field(ge=0, le=100)]
ReadinessTimeout = Annotated[Duration, AfterValidator(_check_readiness_timeout)]
DisconnectedTimeout = Annotated[Duration, AfterValidator(_check_disconnected_timeout)]
PublicKey = Annotated[Bytes, Field(min_length=32, max_length=32)]
