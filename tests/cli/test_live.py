"""The live tree: what a frame shows, and that it fits."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid5

import pytest
from rich.cells import cell_len

from phased.cli.live import LiveProgress, Tree
from phased.cli.outlet import Outlet, clean, last_line, last_lines
from phased.cli.progress import JsonProgress, PlainProgress, Tracked
from phased.cli.words import outcome, span
from phased.contract.definitions import Definitions, TaskDefinition
from phased.contract.execution import TaskExecutionPhase as Phase
from phased.core.specs import Catalog, environment_id
from phased.core.status import StatusChange, StepStatus
from phased.engine.clock import SystemClock
from phased.ports import ExecutionRecord, StoredExecution

SECOND = 1_000_000
EXECUTION = "6d1c3f52-2f0b-4b0e-9a57-0f6f1f0c5f0d"


def stored(needs: dict[str, list[str]], main: str) -> StoredExecution:
    """An execution of `main` over tasks with these dependencies, as it begins."""
    tasks = tuple(
        TaskDefinition(reference=r, name=r, command="x", depends_on=tuple(n)) for r, n in needs.items()
    )
    catalog = Catalog(environment_id("/w"), Definitions(tasks=tasks))
    planned = catalog.plan(main, EXECUTION)
    record = ExecutionRecord(
        EXECUTION,
        catalog.environment,
        planned.task_id,
        main,
        "f",
        "manual",
        "",
        "PRINCIPAL_USER",
        0,
        planned.spec,
    )
    return StoredExecution(record, StatusChange(EXECUTION, 0, 1, Phase.PENDING))


def step(label: str, phase: Phase, **facts: object) -> StepStatus:
    """The status of a step of the execution, started after a second."""
    return replace(StepStatus(str(uuid5(UUID(EXECUTION), label)), phase, started_at=SECOND), **facts)  # type: ignore[arg-type]


def frame(tracked: Tracked, logs: Path, *, height: int = 20, unicode: bool = True) -> list[str]:
    """The lines of a frame, as text."""
    tree = Tree(lambda _, step_id: logs / step_id, unicode=unicode)
    return [line.plain for line in tree.frame([tracked], 4 * SECOND, height)]


def running(tracked: Tracked, *steps: StepStatus) -> Tracked:
    """The same, once it runs and these steps are where they are."""
    tracked.take(StatusChange(EXECUTION, 1, 2, Phase.RUNNING, started_at=SECOND, steps=steps))
    return tracked


def test_groups_collapse_but_for_the_one_that_runs(tmp_path: Path) -> None:
    """Groups collapse but for the one that runs."""
    tracked = running(
        Tracked.of(stored({"a": [], "b": [], "c": ["a", "b"], "d": ["a"], "e": ["c", "d"]}, "e")),
        step("a", Phase.SUCCEEDED, completed_at=2 * SECOND),
        step("b", Phase.SUCCEEDED, completed_at=2 * SECOND),
        step("c", Phase.RUNNING),
    )
    (tmp_path / str(uuid5(UUID(EXECUTION), "c"))).write_text("one\n\x1b[31mtwo\x1b[0m\r\n")
    assert frame(tracked, tmp_path) == [
        "▸ e  running  2/5  3.0 s",
        "  ✓ group 1: a, b",
        "    group 2",
        "      ▸ c  running 3.0 s  two",
        "      · d",
        "  · group 3: e",
    ]


def test_without_unicode_the_signs_are_ascii(tmp_path: Path) -> None:
    """Without unicode the signs are ascii."""
    tracked = running(
        Tracked.of(stored({"a": []}, "a")), step("a", Phase.FAILED, failure_message="exit code 3")
    )
    lines = frame(tracked, tmp_path, unicode=False)
    assert "".join(lines).isascii()
    assert lines[-1].startswith("      x a  failed")


def test_a_thousand_steps_fit_and_the_failed_one_is_shown(tmp_path: Path) -> None:
    """A thousand steps fit and the failed one is shown."""
    names = [f"t{number}" for number in range(1000)]
    tracked = running(
        Tracked.of(stored({**{name: [] for name in names}, "all": names}, "all")),
        *(step(name, Phase.SUCCEEDED, completed_at=2 * SECOND) for name in names[:500]),
        *(step(name, Phase.RUNNING) for name in names[500:564]),
        step("t999", Phase.FAILED, failure_message="exit code 1", completed_at=2 * SECOND),
    )
    lines = frame(tracked, tmp_path, height=12)
    assert len(lines) == 12
    assert lines[0] == "▸ all  running  501/1001  3.0 s"
    assert any(line.startswith("      ✗ t999  failed after 1.0 s: exit code 1") for line in lines)
    assert lines[-1] == "  … 58 more lines"


def test_hostile_output_cannot_leave_its_line(tmp_path: Path) -> None:
    """Hostile output cannot leave its line."""
    log = tmp_path / "log"
    log.write_bytes(b"first\n\x1b]0;title\x07\x1b[2J\x1b[H\x9b31m evil \xe2\x80\xae\x08\x00 text \xff\n\n")
    said = last_line(log)
    assert "text" in said
    assert said.isprintable()
    assert last_lines(log, 5)[0] == "first"


def test_of_a_progress_bar_the_last_state_is_shown(tmp_path: Path) -> None:
    """Of a progress bar the last state is shown."""
    log = tmp_path / "log"
    log.write_bytes(b"begin\n10%\r50%\r100%\r")
    assert last_line(log) == "100%"


def test_a_line_without_end_is_cut(tmp_path: Path) -> None:
    """A line without end is cut."""
    log = tmp_path / "log"
    log.write_bytes(b"x" * 10_000_000)
    assert len(last_lines(log, 20)[0]) <= 65536
    assert last_line(tmp_path / "missing") == ""
    assert last_lines(tmp_path / "missing", 3) == []


class Screen(io.StringIO):
    """A terminal that only keeps what it is sent."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [10, 20, 40, 200])
def test_frames_fit_narrow_and_wide_terminals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Frames fit narrow and wide terminals."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "10")
    one = stored({"a-rather-long-name-of-a-task": [], "b": ["a-rather-long-name-of-a-task"]}, "b")
    progress = LiveProgress(Screen(), lambda _, step_id: tmp_path / step_id, SystemClock(), color=False)
    tracked = running(Tracked.of(one), step("a-rather-long-name-of-a-task", Phase.RUNNING))
    (tmp_path / next(iter(tracked.steps))).write_text("漢字 and more " * 20)
    progress._tracked = {EXECUTION: tracked}
    lines = progress.draw()
    assert lines
    assert all(cell_len(line.plain) <= columns for line in lines)


def test_live_progress_ends_with_the_summary(tmp_path: Path) -> None:
    """Live progress ends with the summary."""
    screen = Screen()
    progress = LiveProgress(screen, lambda _, step_id: tmp_path / step_id, SystemClock(), color=True)
    one = stored({"a": []}, "a")
    failed = step("a", Phase.FAILED, failure_message="exit code 3", completed_at=2 * SECOND)
    (tmp_path / failed.id).write_text("oh no\n")
    progress.begin([one])
    progress.note("a note \x1b[31mof one line")
    progress.waiting("waiting for a")
    progress.changed(
        EXECUTION,
        StatusChange(
            EXECUTION, 1, 2, Phase.FAILED, "step a failed: exit code 3", SECOND, 3 * SECOND, steps=(failed,)
        ),
    )
    progress.end()
    shown = screen.getvalue()
    assert "a note of one line" in shown
    assert shown.endswith(
        "---- a failed after 1.0 s: exit code 3; the end of its output:\n    oh no\n"
        f"==== a failed after 2.0 s (1 failed); step a failed: exit code 3 [{EXECUTION}]\n"
    )


def test_plain_progress_is_a_line_a_change(tmp_path: Path) -> None:
    """Plain progress is a line a change."""
    stream = io.StringIO()
    progress = PlainProgress(stream, lambda _, step_id: tmp_path / step_id, SystemClock())
    progress.begin([stored({"a": [], "b": ["a"]}, "b")])
    for phase, facts in (
        (Phase.PENDING, {}),
        (Phase.RUNNING, {}),
        (Phase.RUNNING, {}),
        (Phase.SUCCEEDED, {"completed_at": 3 * SECOND}),
    ):
        progress.changed(
            EXECUTION, StatusChange(EXECUTION, 1, 2, Phase.RUNNING, steps=(step("a", phase, **facts),))
        )
    assert stream.getvalue().splitlines()[1:] == ["a: running", "a: succeeded in 2.0 s"]


def test_a_stream_whose_reader_left_is_dropped() -> None:
    """A stream whose reader left is dropped."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        outlet = Outlet(stream)
        for _ in range(3):
            outlet.write("x" * 100_000)
            outlet.flush()
        assert not outlet.isatty()


def test_a_missing_stream_takes_everything() -> None:
    """A missing stream takes everything."""
    outlet = Outlet(None)
    assert outlet.write("text") == 4
    outlet.flush()


def test_words() -> None:
    """Times and outcomes in words."""
    assert [span(value * SECOND) for value in (0, 59, 60, 3599, 7620)] == [
        "0.0 s", "59.0 s", "1 min 00 s", "59 min 59 s", "2 h 07 min",
    ]  # fmt: skip
    assert outcome(StepStatus("x", Phase.RUNNING, attempt=2)) == "running (attempt 2)"
    assert clean("a\tb\x1b[1mc\n") == "a\tbc\ufffd"


def test_json_lines_are_at_most_ten_a_second_and_the_last_is_the_end() -> None:
    """However many changes there are; the allowance grows where the machine is slow."""
    stream = io.StringIO()
    progress = JsonProgress(stream)
    clock = SystemClock()
    begun = clock.boot()
    progress.begin([stored({"a": []}, "a")])
    for version in range(2, 3000):
        progress.changed(EXECUTION, StatusChange(EXECUTION, version - 1, version, Phase.RUNNING))
    ended = StatusChange(EXECUTION, 2999, 3000, Phase.SUCCEEDED, steps=(step("a", Phase.SUCCEEDED),))
    progress.changed(EXECUTION, ended)
    progress.end()
    lines = stream.getvalue().splitlines()
    assert len(lines) <= (clock.boot() - begun) * 10 + 2
    assert json.loads(lines[-1])["status"]["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"
