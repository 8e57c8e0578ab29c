"""Where a user stands."""

from __future__ import annotations

from phased.contract.base import Name


class UserStatus(Name):
    """Only who is ACTIVE is served."""

    UNSPECIFIED = "USER_STATUS_UNSPECIFIED"
    ACTIVE = "USER_STATUS_ACTIVE"
    SUSPENDED = "USER_STATUS_SUSPENDED"
    LEFT = "USER_STATUS_LEFT"
