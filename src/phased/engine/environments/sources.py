"""Where the content of an environment comes from: an address, checked and taken apart. Pure.

Knows what git takes for an address, and which of it would run a program. Must not know processes or files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from phased.contract.environment_initializer import (
    EnvironmentInitializer,
    GitInitializer,
)
from phased.contract.environment_initializer import (
    GitInitializerCloneTargetMode as Mode,
)
from phased.errors import InvalidArgument

PROTOCOLS: Final = ("file", "git", "http", "https", "ssh")
"""The transports that are used (git-config(1), protocol.allow); `ext::` would run any command."""

_SCP: Final = re.compile(r"(?:[\w.+~][\w.+~-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!:)(?!//)[^\s]+")
"""`user@host:path`; a host that begins with a hyphen would be an option of ssh(1)."""
_REVISION: Final = re.compile(r"[0-9A-Za-z_][\w./@+-]{0,250}", re.ASCII)
"""A branch or tag; git itself refuses what git-check-ref-format(1) does."""
_COMMIT: Final = re.compile(r"[0-9a-fA-F]{4,64}")
_IN_PATH: Final = re.compile(r"(?P<repository>.+?)(?:/-)?/(?P<kind>tree|commit)/(?P<revision>.+)")
"""`/owner/repository/tree/branch`, as the large hosts show a branch or a commit."""


@dataclass(frozen=True, slots=True)
class Source:
    """One repository, and what of it is checked out where."""

    address: str
    """As git gets it."""
    branch: str = ""
    """A branch or tag of the repository; "": its own choice."""
    commit: str = ""
    """Checked out detached."""
    new_branch: str = ""
    """A branch that is made here."""
    location: str = ""
    """Below the workspace, relative; "": the workspace itself."""
    upstream: str = ""

    @property
    def shown(self) -> str:
        """The address as people may see it: without credentials."""
        return without_credentials(self.address)

    @property
    def name(self) -> str:
        """What the repository is called."""
        path = re.split(r"[/:]", self.address.rstrip("/"))[-1]
        return path.removesuffix(".git")


def without_credentials(address: str) -> str:
    """An address without the user and password before its host."""
    return re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)[^/@]*@", r"\1", address)


def sources_of(initializer: EnvironmentInitializer | None) -> tuple[Source, ...]:
    """The sources of a workspace, in order. Raises InvalidArgument."""
    return tuple(_sources(initializer)) if initializer is not None else ()


def _sources(initializer: EnvironmentInitializer) -> Iterator[Source]:
    for spec in initializer.specs:
        if spec.git is not None:
            yield git_source(spec.git)
        elif spec.context_url is not None:
            yield context_source(spec.context_url.url)


def context_source(url: str) -> Source:
    """What a context URL means: a repository, or a branch or commit of one. Raises InvalidArgument."""
    parts = urlsplit(url)
    found = _IN_PATH.fullmatch(parts.path) if parts.scheme in {"http", "https"} else None
    if found is None:
        return Source(_checked_address(url))
    address = parts._replace(path=found["repository"], query="", fragment="").geturl()
    if found["kind"] == "commit":
        return Source(_checked_address(address), commit=_checked(_COMMIT, found["revision"], "commit"))
    return Source(_checked_address(address), branch=_checked(_REVISION, found["revision"], "branch"))


def git_source(git: GitInitializer) -> Source:
    """What an initializer for git means. Raises InvalidArgument."""
    address, target = _checked_address(git.remote_uri or ""), git.clone_target or ""
    branch = commit = new_branch = ""
    match git.target_mode or Mode.UNSPECIFIED:
        case Mode.UNSPECIFIED | Mode.REMOTE_HEAD:
            pass
        case Mode.REMOTE_BRANCH | Mode.REMOTE_TAG:
            branch = _checked(_REVISION, target, "cloneTarget")
        case Mode.REMOTE_COMMIT:
            commit = _checked(_COMMIT, target, "cloneTarget")
        case Mode.LOCAL_BRANCH:
            new_branch = _checked(_REVISION, target, "cloneTarget")
    upstream = _checked_address(git.upstream_remote_uri) if git.upstream_remote_uri else ""
    return Source(address, branch, commit, new_branch, _location(git.checkout_location or ""), upstream)


def _checked_address(address: str) -> str:
    """Raises InvalidArgument for what is no address, and for what would make git run something else."""
    if any(character.isspace() or not character.isprintable() for character in address):
        raise InvalidArgument("cannot clone: the address holds blanks or unprintable characters")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", address)
    allowed = (
        (scheme is not None and scheme[1].lower() in PROTOCOLS)
        or (address.startswith("/") and not address.startswith("//"))
        or (scheme is None and _SCP.fullmatch(address) is not None)
    )
    if not allowed or "::" in address.split("/", 1)[0]:
        raise InvalidArgument(
            f"cannot clone {without_credentials(address)[:200]!r}: give an absolute path, user@host:path, "
            f"or an address of {', '.join(PROTOCOLS)}"
        )
    if scheme is not None:
        _check_host(address)
    return address


def _check_host(address: str) -> None:
    """An address is kept, and is an argument of git: what it holds is no secret any more."""
    parts = urlsplit(address)
    if (parts.hostname or "").startswith("-"):
        raise InvalidArgument("cannot clone: the address's host begins with a hyphen")
    if parts.password is not None or (parts.username is not None and parts.scheme in {"http", "https"}):
        raise InvalidArgument(
            f"cannot clone {without_credentials(address)}: the address holds credentials, which would be "
            "kept in clear; use a credential helper of git, or ssh"
        )


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text) is None:
        raise InvalidArgument(f"cannot check out {text[:200]!r}: it is no {what}")
    return text


def _location(text: str) -> str:
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if text.startswith("/") or ".." in parts or "\0" in text or ".git" in parts:
        raise InvalidArgument(
            f"cannot check out into {text[:200]!r}: checkoutLocation is a path below the workspace"
        )
    return "/".join(parts)
