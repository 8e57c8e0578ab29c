"""Logs as they grow, and several as one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import anyio
import pytest

from phased.access.masking import Masker
from phased.errors import FileUnreadable, Unavailable
from phased.logs import reading
from phased.logs.growing import LONGEST_LINE
from phased.logs.viewing import Piece, Source, follow, see, view
from tests.logs.test_reading import Masking

pytestmark = pytest.mark.anyio

SECONDS = 60
WRITER = """
import os, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o600)
out, into = os.pipe()
for number in range(2000):
    os.write(into, b"line %d\\n" % number)
    os.splice(out, log, 100)
"""


class Reader:
    """Reads a generator to its end and lets a test wait for what comes."""

    def __init__(self) -> None:
        self.seen = b""
        self.notices: list[str] = []
        self.ended = anyio.Event()
        self.done = anyio.Event()
        self._came = anyio.Event()

    async def take(self, blocks: AsyncGenerator[bytes, None]) -> None:
        async with aclosing(blocks):
            async for block in blocks:
                self.seen += block
                self._tell()
        self.done.set()

    def notice(self, text: str) -> None:
        self.notices.append(text)
        self._tell()

    async def until(self, holds: Callable[[], bool]) -> None:
        with anyio.fail_after(SECONDS):
            while not holds():
                await self._came.wait()

    async def sees(self, text: bytes) -> None:
        await self.until(lambda: text in self.seen)

    async def hears(self, text: str) -> None:
        await self.until(lambda: any(text in notice for notice in self.notices))

    async def end(self) -> None:
        self.ended.set()
        with anyio.fail_after(SECONDS):
            await self.done.wait()

    def _tell(self) -> None:
        self._came.set()
        self._came = anyio.Event()


def append(path: Path, content: bytes) -> None:
    """As the writer of a log does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(content)


async def test_follows_a_log_that_is_not_there_yet_to_its_end(tmp_path: Path) -> None:
    """Its folder is missing too; no newline is waited for."""
    log, reader = tmp_path / "runs" / "x" / "log", Reader()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait))
        await anyio.wait_all_tasks_blocked()
        append(log, b"one\ntw")
        await reader.sees(b"tw")
        append(log, b"o\n\xff\x00")
        await reader.sees(b"\xff\x00")
        append(log, b"last")
        await reader.end()
    assert reader.seen == b"one\ntwo\n\xff\x00last"


async def test_follows_what_another_process_splices_into_it(tmp_path: Path) -> None:
    """As the supervisor does."""
    log, reader = tmp_path / "log", Reader()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait))
        await anyio.run_process([sys.executable, "-c", WRITER, str(log)])
        await reader.sees(b"line 1999\n")
        await reader.end()
    assert reader.seen == b"".join(b"line %d\n" % number for number in range(2000))


@pytest.mark.parametrize(("tail", "before"), [(None, b"1\n2\n3\n"), (2, b"2\n3\n"), (0, b"")])
async def test_tail_counts_only_what_was_there(tmp_path: Path, tail: int | None, before: bytes) -> None:
    """What comes later is shown in full."""
    log, reader = tmp_path / "log", Reader()
    append(log, b"1\n2\n3\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait, tail=tail))
        await anyio.wait_all_tasks_blocked()
        append(log, b"4\n5\n6\n")
        await reader.sees(b"6\n")
        await reader.end()
    assert reader.seen == before + b"4\n5\n6\n"


async def test_tail_of_a_log_that_comes_later_is_all_of_it(tmp_path: Path) -> None:
    """It is new in full."""
    log, reader = tmp_path / "log", Reader()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait, tail=0))
        await anyio.wait_all_tasks_blocked()
        append(log, b"1\n2\n")
        await reader.sees(b"2\n")
        await reader.end()
    assert reader.seen == b"1\n2\n"


async def test_goes_on_from_an_offset(tmp_path: Path) -> None:
    """Where an earlier reading stopped."""
    append(tmp_path / "log", b"one\ntwo\n")
    reader = Reader()
    reader.ended.set()
    await reader.take(follow(tmp_path / "log", reader.ended.wait, start=4))
    assert reader.seen == b"two\n"


async def test_a_log_that_is_cut_short_is_shown_again_and_told(tmp_path: Path) -> None:
    """It hurts nobody."""
    log, reader = tmp_path / "log", Reader()
    append(log, b"a long first line\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait, notice=reader.notice))
        await reader.sees(b"line\n")
        os.truncate(log, 0)
        await reader.hears("was cut short")
        append(log, b"new\n")
        await reader.sees(b"new\n")
        await reader.end()
    assert reader.seen == b"a long first line\nnew\n"


async def test_a_log_that_is_deleted_is_told_and_a_new_one_shown(tmp_path: Path) -> None:
    """Even where its whole folder goes."""
    log, reader = tmp_path / "run" / "log", Reader()
    append(log, b"old\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait, notice=reader.notice))
        await reader.sees(b"old\n")
        log.unlink()
        log.parent.rmdir()
        await reader.hears("was deleted")
        append(log, b"new\n")
        await reader.sees(b"new\n")
        await reader.end()
    assert reader.seen == b"old\nnew\n"
    assert len(reader.notices) == 1


async def test_a_log_that_is_replaced_is_told_and_shown(tmp_path: Path) -> None:
    """From the beginning of the new one."""
    log, reader = tmp_path / "log", Reader()
    append(log, b"old\n")
    append(tmp_path / "other", b"a new and longer one\n")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, follow(log, reader.ended.wait, notice=reader.notice))
        await reader.sees(b"old\n")
        (tmp_path / "other").replace(log)
        await reader.sees(b"longer one\n")
        await reader.end()
    assert reader.seen == b"old\na new and longer one\n"
    assert "was replaced" in reader.notices[0]


async def test_a_log_that_never_comes_ends_with_its_run(tmp_path: Path) -> None:
    """With nothing."""
    reader = Reader()
    reader.ended.set()
    await reader.take(follow(tmp_path / "none" / "log", reader.ended.wait, notice=reader.notice))
    assert (reader.seen, reader.notices) == (b"", [])


@contextmanager
def writing_for_ever(log: Path) -> Iterator[None]:
    """Another process writes all the time."""
    command = [sys.executable, "-c", "while True: print('again', flush=True)"]
    with log.open("wb") as file, subprocess.Popen(command, stdout=file) as writer:
        try:
            yield
        finally:
            writer.kill()


async def test_ends_although_somebody_writes_on(tmp_path: Path) -> None:
    """A process that its step left behind may write for ever."""
    reader = Reader()
    reader.ended.set()
    with writing_for_ever(tmp_path / "log"), anyio.fail_after(SECONDS):
        await reader.take(follow(tmp_path / "log", reader.ended.wait))


async def test_a_fifo_in_its_place_is_refused(tmp_path: Path) -> None:
    """It comes as it is, not in a group."""
    os.mkfifo(tmp_path / "log")
    with pytest.raises(FileUnreadable, match="no regular file"):
        await Reader().take(follow(tmp_path / "log", anyio.Event().wait))


async def test_a_reader_may_leave_early(tmp_path: Path) -> None:
    """Nothing stays open."""
    append(tmp_path / "log", b"x\n" * 100_000)
    before = len(os.listdir("/proc/self/fd"))
    async with aclosing(follow(tmp_path / "log", anyio.Event().wait)) as blocks:
        assert await anext(blocks)
    assert len(os.listdir("/proc/self/fd")) == before


async def collected(blocks: AsyncGenerator[bytes, None]) -> bytes:
    """All of it."""
    return b"".join([block async for block in blocks])


async def test_several_logs_as_they_are(tmp_path: Path) -> None:
    """One after another; a missing one has nothing, an unfinished line is ended."""
    append(tmp_path / "a", b"one\n\ntwo")
    append(tmp_path / "c", b"\xff\n")
    sources = [Source(name, tmp_path / name) for name in "abc"]
    assert await collected(view(sources)) == b"a | one\na | \na | two\nc | \xff\n"
    assert await collected(view(sources, tail=1)) == b"a | two\nc | \xff\n"
    assert await collected(view(sources, tail=0)) == b""
    assert await collected(view([])) == b""


async def test_lines_of_several_logs_are_mixed_whole(tmp_path: Path) -> None:
    """What has no newline yet waits for it, and holds up nobody."""
    reader = Reader()
    logs = {name: tmp_path / "run" / name for name in "ab"}
    sources = [Source(name, path) for name, path in logs.items()]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, view(sources, reader.ended.wait))
        append(logs["a"], b"begin")
        append(logs["b"], b"one\ntwo\nhal")
        await reader.sees(b"b | two\n")
        append(logs["a"], b" end\n")
        await reader.sees(b"a | begin end\n")
        append(logs["b"], b"f\n")
        await reader.sees(b"b | half\n")
        append(logs["a"], b"no newline")
        await reader.end()
    assert reader.seen == b"b | one\nb | two\na | begin end\nb | half\na | no newline\n"


async def test_a_line_without_end_is_broken_where_logs_are_mixed(tmp_path: Path) -> None:
    """Else it would have to be kept, or would hold up the others."""
    append(tmp_path / "a", b"x" * (2 * LONGEST_LINE + 5))
    seen = await collected(view([Source("a", tmp_path / "a")]))
    assert seen.replace(b"\na | ", b"") == b"a | " + b"x" * (2 * LONGEST_LINE + 5) + b"\n"
    assert max(map(len, seen.splitlines())) < LONGEST_LINE + 128 * 1024


async def test_many_logs_need_few_descriptors(tmp_path: Path) -> None:
    """An execution may have a thousand steps."""
    sources = [Source(str(number), tmp_path / str(number)) for number in range(1000)]
    for source in sources:
        append(source.path, b"x\n")
    before = len(os.listdir("/proc/self/fd"))
    most, lines = 0, 0
    ended = anyio.Event()
    async with aclosing(view(sources, ended.wait)) as blocks:
        async for block in blocks:
            lines += block.count(b"\n")
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
            if lines == 1000:
                ended.set()
    assert lines == 1000
    assert most < 10


async def test_each_log_has_its_own_transform(tmp_path: Path) -> None:
    """Before the label is put on."""
    append(tmp_path / "a", b"the secret is out\n")
    append(tmp_path / "b", b"the secret is in\n")
    sources = [Source("a", tmp_path / "a", Masking(b"secret")), Source("b", tmp_path / "b")]
    assert await collected(view(sources)) == b"a | the *** is out\nb | the secret is in\n"
    reader = Reader()
    reader.ended.set()
    await reader.take(follow(tmp_path / "a", reader.ended.wait, transform=Masking(b"secret")))
    assert reader.seen == b"the *** is out\n"


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("block", [1, 3, 64])
async def test_who_goes_on_where_the_pieces_broke_off_has_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, *, labelled: bool
) -> None:
    """After any number of them, also within a secret and within a line."""
    monkeypatch.setattr(reading, "BLOCK", block)
    content = b"one secret\ntwo secsecret\n\nsecretsecret three"
    append(tmp_path / "a", content)
    masker = Masker(["secret"])

    def seen(start: int | None) -> AsyncGenerator[Piece, None]:
        source = Source("a", tmp_path / "a", masker.reading(), start, masker.margin)
        return see([source], labelled=labelled)

    whole = [piece async for piece in seen(None)]
    shown = b"".join(piece.text for piece in whole)
    assert b"secret" not in shown
    for count in range(1, len(whole)):
        rest = b"".join([piece.text async for piece in seen(whole[count - 1].position)])
        assert b"".join(piece.text for piece in whole[:count]) + rest == shown


async def test_an_end_before_its_time_shows_no_beginnings(tmp_path: Path) -> None:
    """Neither of a line nor of a secret: they are whole for who comes back."""
    append(tmp_path / "a", b"one\ntwo sec")

    async def broken() -> None:
        raise Unavailable("cannot go on")

    for labelled, shown in ((False, b"one\ntwo "), (True, b"a | one\n")):
        pieces: list[Piece] = []
        source = Source("a", tmp_path / "a", Masker(["secret"]).reading())

        async def take(source: Source, pieces: list[Piece], *, labelled: bool) -> None:
            async with aclosing(see([source], broken, labelled=labelled)) as seen:
                async for piece in seen:
                    pieces.append(piece)  # noqa: PERF401 - all that come before it is raised

        with pytest.raises(Unavailable):
            await take(source, pieces, labelled=labelled)
        assert b"".join(piece.text for piece in pieces) == shown
        assert pieces[-1].position == (8 if not labelled else 4)


async def test_a_log_that_has_begun_and_is_gone_is_told_once(tmp_path: Path) -> None:
    """What comes in its place is shown."""
    log, reader = tmp_path / "run" / "log", Reader()
    source = Source("a", log, begun=True)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reader.take, view([source], reader.ended.wait, notice=reader.notice))
        await reader.hears("its log is gone")
        append(log.parent / "other", b"x")
        append(log, b"new\n")
        await reader.sees(b"a | new\n")
        await reader.end()
    assert len(reader.notices) == 1


async def test_a_fifo_among_others_is_told_and_hurts_none_of_them(tmp_path: Path) -> None:
    """And so is a symbolic link, which leads nowhere."""
    append(tmp_path / "a", b"one\n")
    os.mkfifo(tmp_path / "b")
    (tmp_path / "c").symlink_to(tmp_path / "a")
    notices: list[str] = []
    sources = [Source(name, tmp_path / name) for name in "abc"]
    assert await collected(view(sources, notice=notices.append)) == b"a | one\n"
    assert [notice.endswith("it is no regular file; remove what is in its place") for notice in notices] == [
        True,
        True,
    ]
