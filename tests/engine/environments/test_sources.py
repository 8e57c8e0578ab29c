"""Addresses: what is cloned, what is refused, and what of them people see."""

from __future__ import annotations

import pytest

from phased.contract.base import from_json
from phased.contract.environment_initializer import GitInitializer
from phased.engine.environments.sources import Source, context_source, git_source, without_credentials
from phased.errors import InvalidArgument


def git(**fields: object) -> Source:
    """What an initializer for git means."""
    return git_source(from_json(GitInitializer, {"remoteUri": "https://host/repo", **fields}))


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/owner/repo.git", "http://host:8080/x", "ssh://git@host/x", "ssh://host:22/~/x",
        "git://host/x", "file:///srv/git/x", "/srv/git/x", "git@github.com:owner/repo.git", "host:x",
    ],
)  # fmt: skip
def test_an_address_is_taken_as_it_is(address: str) -> None:
    """All transports that only fetch."""
    assert git(remoteUri=address).address == address


@pytest.mark.parametrize(
    "address",
    [
        "", "-oProxyCommand=x", "--upload-pack=touch x", "ext::sh -c touch% x", "ext::sh", "fd::7/x", "x::y",
        "ssh://-oProxyCommand=x/y", "-u:x", "-u@host:x", "git@-host:x", "ftp://host/x", "rsync://host/x",
        "../relative", "./relative", "relative", "//host/share", "https://host/a b", "https://host/\nx",
        "https://host/\0x", "file::x", "https::x", "host::x",
    ],
)  # fmt: skip
def test_what_could_run_something_is_refused(address: str) -> None:
    """Options, helpers, other transports, and what is no address."""
    with pytest.raises(InvalidArgument, match=r"^cannot clone"):
        git(remoteUri=address)


@pytest.mark.parametrize(
    "address", ["https://user:secret@host/x", "https://secret@host/x", "ssh://git:secret@host/x"]
)
def test_an_address_with_credentials_is_refused_without_telling_them(address: str) -> None:
    """It would be kept, and stand in git's arguments."""
    with pytest.raises(InvalidArgument, match="holds credentials") as refused:
        git(remoteUri=address)
    with pytest.raises(InvalidArgument, match="holds credentials") as refused_context:
        context_source(address)
    assert "secret" not in f"{refused.value} {refused_context.value}"
    assert without_credentials(address).endswith("://host/x")


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://host/owner/repo", Source("https://host/owner/repo")),
        ("file:///srv/x/tree/main", Source("file:///srv/x/tree/main")),
        ("https://host/owner/repo/tree/feature/x", Source("https://host/owner/repo", branch="feature/x")),
        ("https://host/owner/repo/-/tree/main", Source("https://host/owner/repo", branch="main")),
        ("https://host/owner/repo/commit/abc123", Source("https://host/owner/repo", commit="abc123")),
    ],
)
def test_a_context_says_what_to_check_out(url: str, source: Source) -> None:
    """As the large hosts spell it."""
    assert context_source(url) == source


@pytest.mark.parametrize("url", ["https://host/o/r/tree/--upload-pack", "https://host/o/r/commit/HEAD~1"])
def test_a_context_cannot_smuggle_an_option(url: str) -> None:
    """Nor an expression."""
    with pytest.raises(InvalidArgument, match=r"^cannot check out"):
        context_source(url)


@pytest.mark.parametrize(
    ("fields", "source"),
    [
        ({}, Source("https://host/repo")),
        ({"targetMode": "CLONE_TARGET_MODE_REMOTE_HEAD"}, Source("https://host/repo")),
        (
            {"targetMode": "CLONE_TARGET_MODE_REMOTE_BRANCH", "cloneTarget": "b"},
            Source("https://host/repo", "b"),
        ),
        (
            {"targetMode": "CLONE_TARGET_MODE_REMOTE_TAG", "cloneTarget": "v1"},
            Source("https://host/repo", "v1"),
        ),
        (
            {"targetMode": "CLONE_TARGET_MODE_REMOTE_COMMIT", "cloneTarget": "abcd"},
            Source("https://host/repo", commit="abcd"),
        ),
        (
            {"targetMode": "CLONE_TARGET_MODE_LOCAL_BRANCH", "cloneTarget": "mine"},
            Source("https://host/repo", new_branch="mine"),
        ),
        ({"checkoutLocation": "a/./b/"}, Source("https://host/repo", location="a/b")),
        ({"upstreamRemoteUri": "/srv/up"}, Source("https://host/repo", upstream="/srv/up")),
    ],
)
def test_an_initializer_says_what_to_check_out(fields: dict[str, object], source: Source) -> None:
    """Every mode."""
    assert git(**fields) == source


@pytest.mark.parametrize(
    "fields",
    [
        {"targetMode": "CLONE_TARGET_MODE_REMOTE_BRANCH"},
        {"targetMode": "CLONE_TARGET_MODE_REMOTE_BRANCH", "cloneTarget": "-b"},
        {"targetMode": "CLONE_TARGET_MODE_REMOTE_COMMIT", "cloneTarget": "main"},
        {"targetMode": "CLONE_TARGET_MODE_LOCAL_BRANCH", "cloneTarget": "a b"},
        {"checkoutLocation": "/etc"},
        {"checkoutLocation": "a/../../etc"},
        {"checkoutLocation": ".git/hooks"},
        {"upstreamRemoteUri": "ext::sh"},
    ],
)
def test_an_initializer_cannot_leave_the_workspace_or_smuggle_an_option(fields: dict[str, object]) -> None:
    """Refused before anything is made."""
    with pytest.raises(InvalidArgument):
        git(**fields)


def test_a_repository_is_called_by_the_end_of_its_address() -> None:
    """What an environment is named after."""
    assert [Source(one).name for one in ("https://h/o/repo.git", "/srv/x/", "git@h:o/y.git", "h:z")] == [
        "repo", "x", "y", "z",
    ]  # fmt: skip
