"""What an organization is and what its members may do."""

from __future__ import annotations

from phased.contract.base import Name


class OrganizationRole(Name):
    """What a member of an organization is."""

    UNSPECIFIED = "ORGANIZATION_ROLE_UNSPECIFIED"
    ADMIN = "ORGANIZATION_ROLE_ADMIN"
    MEMBER = "ORGANIZATION_ROLE_MEMBER"


class OrganizationTier(Name):
    """The tiers of an organization."""

    UNSPECIFIED = "ORGANIZATION_TIER_UNSPECIFIED"
    FREE = "ORGANIZATION_TIER_FREE"
    ENTERPRISE = "ORGANIZATION_TIER_ENTERPRISE"
    CORE = "ORGANIZATION_TIER_CORE"
    FREE_ONA = "ORGANIZATION_TIER_FREE_ONA"
