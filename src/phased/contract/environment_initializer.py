"""What an environment's content is made from."""

from __future__ import annotations

from typing import Annotated

from phased.contract.base import Message, Name, Wire
from phased.contract.values import Uri


class GitInitializerCloneTargetMode(Name):
    """What of a repository is checked out."""

    UNSPECIFIED = "CLONE_TARGET_MODE_UNSPECIFIED"
    REMOTE_HEAD = "CLONE_TARGET_MODE_REMOTE_HEAD"
    REMOTE_COMMIT = "CLONE_TARGET_MODE_REMOTE_COMMIT"
    REMOTE_BRANCH = "CLONE_TARGET_MODE_REMOTE_BRANCH"
    LOCAL_BRANCH = "CLONE_TARGET_MODE_LOCAL_BRANCH"
    REMOTE_TAG = "CLONE_TARGET_MODE_REMOTE_TAG"


class GitInitializer(Message, proto="gitpod.v1.GitInitializer"):
    """A repository, and what of it is checked out where."""

    remote_uri: Annotated[str | None, Wire(1, "string")] = None
    upstream_remote_uri: Annotated[str | None, Wire(2, "string")] = None
    target_mode: Annotated[
        GitInitializerCloneTargetMode | None, Wire(3, "GitInitializer.CloneTargetMode")
    ] = None
    clone_target: Annotated[str | None, Wire(4, "string")] = None
    checkout_location: Annotated[str | None, Wire(5, "string")] = None


class ContextURLInitializer(Message, proto="gitpod.v1.ContextURLInitializer"):
    """An address that says what to check out."""

    url: Annotated[Uri, Wire(1, "string")]


class EnvironmentInitializerSpec(Message, proto="gitpod.v1.EnvironmentInitializer.Spec"):
    """One source of content; exactly one is set."""

    git: Annotated[GitInitializer | None, Wire(1, "GitInitializer", "spec")] = None
    context_url: Annotated[ContextURLInitializer | None, Wire(2, "ContextURLInitializer", "spec")] = None


class EnvironmentInitializer(Message, proto="gitpod.v1.EnvironmentInitializer"):
    """The sources of content, in order."""

    specs: Annotated[
        tuple[EnvironmentInitializerSpec, ...], Wire(1, "repeated EnvironmentInitializer.Spec")
    ] = ()
