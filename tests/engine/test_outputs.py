"""Outputs as a step leaves them in its file."""

from __future__ import annotations

import os
from pathlib import Path

from phased.engine.outputs import forget_outputs, outputs_of, refusal, variable


def test_the_last_line_of_a_key_wins_and_what_is_no_line_is_left_out(tmp_path: Path) -> None:
    """Bad text, too: a step may write anything."""
    log = tmp_path / "a.log"
    (tmp_path / "a.log.output").write_bytes(
        b"K=1\nno line\nK=2\n=no key\nEMPTY=\nX=a=b\nBAD=\xff\n"
        + b"L" * 129
        + b"=x\nBIG="
        + b"x" * 4097
        + b"\n"
    )
    assert outputs_of(str(log)) == {"K": "2", "EMPTY": "", "X": "a=b", "BAD": "\ufffd"}
    forget_outputs(str(log))
    assert outputs_of(str(log)) == {}
    forget_outputs(str(log))


def test_what_is_no_file_gives_no_outputs(tmp_path: Path) -> None:
    """And does not hang the engine."""
    os.mkfifo(tmp_path / "fifo.log.output")
    (tmp_path / "folder.log.output").mkdir()
    (tmp_path / "secret").write_text("K=v")
    (tmp_path / "link.log.output").symlink_to(tmp_path / "secret")
    for name in ("fifo", "folder", "link", "none"):
        assert outputs_of(str(tmp_path / f"{name}.log")) == {}


def test_variables_are_spelled_in_upper_case() -> None:
    """Every other character is an underscore."""
    assert variable("my-build", "image.tag") == "PHASED_OUTPUT_MY_BUILD_IMAGE_TAG"


def test_limits_are_those_of_the_contract() -> None:
    """Keys of 1 to 128 characters, values up to 4096."""
    assert refusal("k" * 128, "v" * 4096) is None
    assert [bool(refusal(key, value)) for key, value in (("", "v"), ("k" * 129, ""), ("k", "v" * 4097))] == [
        True, True, True,
    ]  # fmt: skip
