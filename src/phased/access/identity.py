"""The ids of this installation: of its users, organization, runner (`semantics: Who, what and where`).

Knows the installation's id and numbers of users. Must not know who asks. All follow from the installation's
id, so they stay the same as long as the state directory does.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid5

from phased.contract.identity import GetAuthenticatedIdentityResponse
from phased.contract.organization import OrganizationTier
from phased.contract.subject import Principal, Subject


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation; `id` is a UUID. `tier` is what settings say of it."""

    id: str
    tier: OrganizationTier = OrganizationTier.UNSPECIFIED

    def user_id(self, uid: int) -> str:
        """The id of a local user: a UUIDv5 of the installation's id and the uid."""
        return str(uuid5(UUID(self.id), f"uid:{uid}"))

    def user(self, uid: int) -> Subject:
        """A local user as a subject."""
        return Subject(id=self.user_id(uid), principal=Principal.USER)

    @property
    def organization_id(self) -> str:
        """The one organization that there is."""
        return str(uuid5(UUID(self.id), "organization"))

    @property
    def runner_id(self) -> str:
        """This daemon, as a runner."""
        return str(uuid5(UUID(self.id), "runner"))

    def class_id(self, name: str) -> str:
        """An environment class by its name in the settings."""
        return str(uuid5(UUID(self.id), f"class:{name}"))

    def identity(self, subject: Subject) -> GetAuthenticatedIdentityResponse:
        """What GetAuthenticatedIdentity answers to this subject."""
        return GetAuthenticatedIdentityResponse(
            subject=subject, organization_id=self.organization_id, organization_tier=self.tier.value
        )


def environment_subject(environment_id: str) -> Subject:
    """An environment as a subject: who asks with a step's token is its environment."""
    return Subject(id=environment_id, principal=Principal.ENVIRONMENT)
