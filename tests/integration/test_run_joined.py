"""A second `run` on a state directory that another holds joins that one."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.cli.program import Program, wait_for

FILE = (
    "tasks:\n"
    "  a: {command: 'touch a.up; while [ ! -e a.go ]; do sleep 0.05; done; echo a >> order'}\n"
    "  b: {command: 'touch b.up; while [ ! -e b.go ]; do sleep 0.05; done; echo b >> order'}\n"
    "  bad: {command: 'exit 4'}\n"
    "  quick: {command: echo quick}\n"
)


def there(phased: Program, name: str) -> None:
    """Wait until a step has made this file."""
    wait_for((phased.workspace / name).exists, f"{name} is there")


def go(phased: Program, name: str) -> None:
    """Let a step end."""
    (phased.workspace / f"{name}.go").touch()


def test_it_runs_there_and_shows_here(phased: Program) -> None:
    """It runs there and shows here."""
    phased.write(FILE)
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.run("run", "quick", "bad")
    assert guest.returncode == 1
    assert f"joined the run of process {holder.pid}" in guest.stderr
    assert "quick/quick: succeeded in" in guest.stderr
    assert "bad failed" in guest.stderr
    go(phased, "a")
    _, said = holder.communicate(timeout=120)
    assert holder.returncode == 0, said
    assert "quick" not in said
    assert len(phased.executions()) == 3


def test_the_holder_stays_until_the_guests_work_has_ended(phased: Program) -> None:
    """The holder stays until the guests work has ended."""
    phased.write(FILE)
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.start("run", "b", "-o", "json")
    there(phased, "b.up")
    go(phased, "a")
    assert holder.stderr is not None
    lines = iter(holder.stderr.readline, "")
    assert any(
        f"waiting for the work of others who joined: b (of process {guest.pid})" in line for line in lines
    )
    go(phased, "b")
    output, said = guest.communicate(timeout=120)
    assert guest.returncode == 0, said
    assert "TASK_EXECUTION_PHASE_SUCCEEDED" in output.splitlines()[-1]
    assert holder.wait(120) == 0


def test_a_guests_workspace_is_its_own(phased: Program) -> None:
    """A guests workspace is its own."""
    phased.write(FILE)
    other = phased.home / "other"
    other.mkdir()
    (other / "file.yaml").write_text("tasks:\n  where: {command: pwd}\n")
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.run("run", "where", "-f", "file.yaml", cwd=other)
    assert guest.returncode == 0, guest.stderr
    assert phased.call("logs", "where").stdout == f"{Path(other).resolve()}\n"
    go(phased, "a")
    assert holder.wait(120) == 0


def test_a_guests_interrupt_stops_its_work_alone(phased: Program) -> None:
    """A guests interrupt stops its work alone."""
    phased.write(FILE)
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.start("run", "b")
    there(phased, "b.up")
    guest.send_signal(signal.SIGINT)
    _, said = guest.communicate(timeout=120)
    assert guest.returncode == 130, said
    assert "==== b stopped after" in said
    assert holder.poll() is None
    go(phased, "a")
    assert holder.wait(120) == 0


def test_a_guest_that_is_killed_has_its_work_stopped(phased: Program) -> None:
    """A guest that is killed has its work stopped."""
    phased.write(FILE)
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.start("run", "b")
    there(phased, "b.up")
    guest.kill()
    wait_for(lambda: [e for e in phased.executions("b") if "STOPPED" in e["status"]["phase"]], "b is stopped")
    go(phased, "a")
    assert holder.wait(120) == 0


def test_a_holders_interrupt_stops_its_own_work_then_that_of_guests(phased: Program) -> None:
    """A holders interrupt stops its own work then that of guests."""
    phased.write(FILE)
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.start("run", "b")
    there(phased, "b.up")
    holder.send_signal(signal.SIGINT)
    assert holder.stderr is not None
    lines = iter(holder.stderr.readline, "")
    assert any("waiting for the work of others who joined" in line for line in lines)
    holder.send_signal(signal.SIGINT)
    _, said = guest.communicate(timeout=120)
    assert guest.returncode == 3, said
    assert holder.wait(120) == 130


def test_a_holder_that_is_killed_is_reported_and_replaced(phased: Program) -> None:
    """A holder that is killed is reported and replaced."""
    phased.write(FILE)
    holder = phased.start("run", "a")
    there(phased, "a.up")
    guest = phased.start("run", "b", env={"PHASED_RUN_STOP_TIMEOUT": "1"})
    there(phased, "b.up")
    holder.kill()
    _, said = guest.communicate(timeout=120)
    assert guest.returncode == 1
    assert "cannot follow the run that was joined" in said
    assert "Traceback" not in said
    after = phased.run("run", "quick", env={"PHASED_RUN_STOP_TIMEOUT": "1"})
    assert after.returncode == 0, after.stderr


def test_many_at_once_all_succeed(phased: Program) -> None:
    """Whoever comes first holds; those that come as it ends hold in turn."""
    phased.write(FILE)
    runs = [phased.start("run", "quick") for _ in range(6)]
    ends = [(run.communicate(timeout=120)[1], run.returncode) for run in runs]
    assert [code for _, code in ends] == [0] * 6, ends
    assert len(phased.executions()) == 6
