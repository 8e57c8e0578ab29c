"""Being told when something in folders changes, by inotify(7): no polling.

Knows folders and names. A folder that does not exist yet is waited for through the nearest one above it
that does. Must not know logs: whoever is told looks for itself what is there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from inotify_simple import INotify, flags  # type: ignore[import-untyped]

from phased.errors import FileUnreadable

_GOING: Final = flags.DELETE_SELF | flags.MOVE_SELF
_GONE: Final = _GOING | flags.IGNORED | flags.UNMOUNT
_CHANGES: Final = (
    flags.CREATE | flags.MODIFY | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO | _GOING | flags.ONLYDIR
)


class Watch:
    """Watches folders; a context manager. `next` tells what changed in them.

    What is told is a set of paths: one in a watched folder, or the folder itself, where it is not known what
    in it changed or whether it is still the same.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        """Nothing is watched before it is entered."""
        self._folders = frozenset(folder.absolute() for folder in folders)
        self._through: dict[Path, int] = {}
        """The watch that each folder is seen through: its own, or that of one above it."""
        self._own: set[Path] = set()
        """The folders that are seen through their own."""
        self._inotify: INotify

    def __enter__(self) -> Self:
        """Raises FileUnreadable where the system has no more watches to give."""
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            raise _cannot(", ".join(map(str, self._folders)), error) from error
        try:
            for folder in self._folders:
                self._see(folder)
        except BaseException:
            self._inotify.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no more."""
        self._inotify.close()

    async def next(self, ended: Callable[[], Awaitable[None]] | None = None) -> frozenset[Path] | None:
        """What changed since the last call; waits until something did.

        None as soon as `ended()` returns, which is called anew each time and may be cancelled.
        """
        while True:
            if ended is None:
                await anyio.wait_readable(self._inotify.fd)
            elif await self._ended_first(ended):
                return None
            if paths := self._changed():
                return paths

    async def _ended_first(self, ended: Callable[[], Awaitable[None]]) -> bool:
        """Whether the end came, rather than a change."""
        came = False
        failure: Exception | None = None

        async def wait() -> None:
            nonlocal came, failure
            try:
                await ended()
                came = True
            except Exception as error:  # noqa: BLE001 - raised below, as itself and not in a group
                failure = error
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_readable(self._inotify.fd)
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return came

    def _changed(self) -> frozenset[Path]:
        paths: set[Path] = set()
        for event in self._inotify.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                return self._folders
            for folder in [folder for folder, watch in self._through.items() if watch == event.wd]:
                if folder in self._own and not event.mask & _GONE:
                    paths.add(folder / event.name)
                else:
                    self._see(folder)
                    paths.add(folder)
        return frozenset(paths)

    def _see(self, folder: Path) -> None:
        """Watch a folder, or else the nearest one above it that is there."""
        before = self._through.get(folder, -1)
        while True:
            try:
                if self._see_nearest(folder):
                    break
            except (FileNotFoundError, NotADirectoryError):
                continue  # it went while it was looked for
            except OSError as error:
                raise _cannot(str(folder), error) from error
        if before >= 0 and before not in self._through.values():
            with suppress(OSError):  # it may have gone with its folder
                self._inotify.rm_watch(before)

    def _see_nearest(self, folder: Path) -> bool:
        """Whether there is nothing nearer by now: what was made meanwhile told nobody."""
        nearest = folder
        while not nearest.is_dir() and nearest != nearest.parent:
            nearest = nearest.parent
        self._through[folder] = self._inotify.add_watch(nearest, _CHANGES)
        if nearest == folder:
            self._own.add(folder)
            return True
        self._own.discard(folder)
        return not (nearest / folder.relative_to(nearest).parts[0]).is_dir()


async def changes(folder: Path) -> AsyncGenerator[None, None]:
    """Yields at once, as soon as the folder is watched, and after each change in it; for ever."""
    with Watch([folder]) as watch:
        while True:
            yield
            await watch.next()


async def until(folder: Path, holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once `holds()`, which is asked at once and whenever something in the folder has changed."""
    async with aclosing(changes(folder)) as changed:
        async for _ in changed:
            if await holds():
                return


def _cannot(folder: str, error: OSError) -> FileUnreadable:
    return FileUnreadable(
        f"cannot follow what happens in {folder}: {error.strerror or error}; if it says so, raise"
        " fs.inotify.max_user_instances or fs.inotify.max_user_watches (sysctl)"
    )
