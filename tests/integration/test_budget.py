"""Budgets of logs in a daemon: kept while a step writes, told to readers; and what others do to a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.daemon import Api, Daemon, daemon, wait_for

BUDGET = 256 * 1024


@pytest.fixture(scope="module")
def one() -> Iterator[Daemon]:
    """A daemon whose steps may keep little of their logs."""
    with daemon() as made:
        made.start(env={"PHASED_RUN_LOG_BUDGET": "256KiB"})
        yield made


def begin(one: Daemon, reference: str, command: str) -> tuple[Api, str, Path]:
    """A step of a daemon that writes; its execution and its log."""
    api = Api(one.client())
    execution = api.start(api.task(reference, command))
    folder = one.state / "runs" / execution
    log = wait_for(lambda: next(folder.glob("*.log"), None), "a log")
    return api, execution, log


def test_a_step_that_writes_a_lot_keeps_its_newest_output(one: Daemon) -> None:
    """It goes on and ends well; people are told how much is missing, and ranges are those of the whole."""
    command = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); printf '%099d\\n' $i; done"
    api, execution, log = begin(one, "much", command)
    wait_for(lambda: log.stat().st_size == 2_000_000, "all is written")
    if log.stat().st_blocks * 512 >= 2_000_000:
        pytest.skip("this file system has no holes")
    assert log.stat().st_blocks * 512 <= BUDGET
    api.until(execution, "SUCCEEDED", "FAILED")
    url = api.execution(execution)["status"]["logUrl"]
    whole = api.client.get(url, params={"follow": "0"}).text
    found = re.match(r"… (\d+) bytes were dropped here …\n", whole)
    assert found
    missing = int(found[1])
    assert len(whole[found.end() :]) == 2_000_000 - missing
    assert [int(line) for line in whole.splitlines()[1:]] == list(range(missing // 100 + 1, 20001))
    part = api.client.get(url, params={"follow": "0"}, headers={"range": f"bytes={missing - 5}-"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes {missing - 5}-1999999/2000000"
    assert part.content == bytes(5) + whole[found.end() :].encode()
    assert api.client.get(url, params={"follow": "0", "tail": "1"}).text.endswith("20000\n")


@pytest.mark.parametrize("how", ["deleted", "truncated", "rotated"])
def test_what_others_do_to_a_log_hurts_nobody(one: Daemon, how: str) -> None:
    """The step goes on; what it writes later is there, where its file still is."""
    command = f"echo before; while [ ! -e {how} ]; do sleep 0.02; done; echo after"
    api, execution, log = begin(one, how, command)
    wait_for(lambda: log.read_text() == "before\n", "the first line")
    kept = log.with_suffix(".1")
    match how:
        case "deleted":
            log.unlink()
        case "truncated":
            log.write_text("")
        case _:
            log.rename(kept)
    (one.workspace / how).touch()
    ended = api.until(execution, "SUCCEEDED", "FAILED")
    assert ended["status"]["phase"].endswith("SUCCEEDED")
    shown = api.client.get(ended["status"]["logUrl"], params={"follow": "0"})
    if how == "truncated":
        assert (shown.status_code, shown.text) == (200, "after\n")
    else:
        assert (shown.status_code, shown.json()["code"]) == (404, "not_found")
        assert "its log is gone" in shown.json()["message"]
    if how == "rotated":
        assert kept.read_text() == "before\nafter\n"


def test_the_daemon_keeps_all_logs_within_their_limit_while_a_step_writes() -> None:
    """By itself, every few seconds; what runs is not touched."""
    with daemon() as made:
        made.start(env={"PHASED_HISTORY_KEEP_SIZE": "1MiB", "PHASED_RUN_LOG_BUDGET": "0"})
        command = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end; exec sleep 1000"
        api, execution, log = begin(made, "much", command)
        wait_for(lambda: log.stat().st_size == 3_000_005, "all is written")
        wait_for(lambda: log.stat().st_blocks * 512 <= 1 << 20, "it is within the limit")
        assert log.read_bytes().endswith(b"x\nend\n")
        assert api.phase(execution) == "RUNNING"
