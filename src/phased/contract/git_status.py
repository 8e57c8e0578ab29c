"""The state of an environment's working tree."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from phased.contract.base import Message, Name, Wire
from phased.contract.values import ChangedPath, Int32


class FileChangeChangeType(Name):
    """How a file changed."""

    UNSPECIFIED = "CHANGE_TYPE_UNSPECIFIED"
    ADDED = "CHANGE_TYPE_ADDED"
    MODIFIED = "CHANGE_TYPE_MODIFIED"
    DELETED = "CHANGE_TYPE_DELETED"
    RENAMED = "CHANGE_TYPE_RENAMED"
    COPIED = "CHANGE_TYPE_COPIED"
    UPDATED_BUT_UNMERGED = "CHANGE_TYPE_UPDATED_BUT_UNMERGED"
    UNTRACKED = "CHANGE_TYPE_UNTRACKED"


class FileChange(Message, proto="gitpod.v1.FileChange"):
    """One changed file."""

    path: Annotated[ChangedPath | None, Wire(1, "string")] = None
    change_type: Annotated[FileChangeChangeType | None, Wire(2, "FileChange.ChangeType")] = None
    old_path: Annotated[ChangedPath | None, Wire(3, "string")] = None


class EnvironmentGitStatus(Message, proto="gitpod.v1.EnvironmentGitStatus"):
    """Branch, commits and changes; lists are cut, totals are not."""

    clone_url: Annotated[str | None, Wire(1, "string")] = None
    branch: Annotated[str | None, Wire(2, "string")] = None
    latest_commit: Annotated[str | None, Wire(3, "string")] = None
    unpushed_commits: Annotated[tuple[str, ...], Field(max_length=101), Wire(4, "repeated string")] = ()
    total_unpushed_commits: Annotated[Int32 | None, Wire(5, "int32")] = None
    changed_files: Annotated[
        tuple[FileChange, ...], Field(max_length=101), Wire(6, "repeated FileChange")
    ] = ()
    total_changed_files: Annotated[Int32 | None, Wire(7, "int32")] = None
