"""The outputs of steps: what may be set, under which variable others see it, and where a step leaves them.

The rules: `semantics: Tasks and executions`, "Outputs".
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping

from phased.engine.registry import LiveExecution

OUTPUT_SUFFIX = ".output"
"""A step's output file stands beside its log under this suffix; the step creates it, if at all."""

HANDED_ON = "PHASED_OUTPUTS"
"""The variable that names the file of outputs, where they are too many to be variables."""

_MAX_KEY, _MAX_VALUE = 128, 4096
_READ_AT_MOST = 16 << 20
_BY_VARIABLES_AT_MOST = 128 << 10
"""Bytes: Linux takes about two megabytes of arguments and environment (execve(2)), and each variable reaches
all that a step starts."""
_HANDED_ON_SUFFIX = ".outputs"


def outputs_of(log: str) -> dict[str, str]:
    """The outputs that a step left in its file: KEY=VALUE lines, the last of a key wins.

    What is no such line, or is longer than the contract allows, is left out; so is a file that is no file.
    """
    try:
        # O_NONBLOCK: a step may have put a FIFO there.
        descriptor = os.open(log + OUTPUT_SUFFIX, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return {}
    try:
        with open(descriptor, "rb") as file:
            text = file.read(_READ_AT_MOST) or b""
    except OSError:
        return {}
    lines = text.decode("utf-8", "replace").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {key: value for key, value in pairs if not refusal(key, value)}


def forget_outputs(log: str) -> None:
    """Another attempt begins: what the one before left in the file is not its."""
    try:
        os.unlink(log + OUTPUT_SUFFIX)
    except OSError:
        return


def refusal(key: str, value: str) -> str | None:
    """Why an output cannot be set, or None."""
    if not 1 <= len(key) <= _MAX_KEY:
        return f"its key has {len(key)} characters; 1 to {_MAX_KEY} are allowed"
    if len(value) > _MAX_VALUE:
        return f"its value has {len(value)} characters; {_MAX_VALUE} are allowed"
    if "\0" in key or "\0" in value:
        return "it holds a NUL character"
    return None


def variable(label: str, key: str) -> str:
    """The variable in which dependent steps see an output: `PHASED_OUTPUT_BUILD_IMAGE_NAME`."""
    return f"PHASED_OUTPUT_{_upper(label)}_{_upper(key)}"


def collisions(live: LiveExecution, step_id: str, output: Mapping[str, str]) -> dict[str, str]:
    """The keys of `output` whose variable another output of the execution has already, and whose that is."""
    taken = {
        variable(step.label, key): f"{key} of {step.label}"
        for step in live.machine.steps.values()
        for key in step.output
    }
    label = live.machine.steps[step_id].label
    found = {}
    for key in output:
        own, name = f"{key} of {label}", variable(label, key)
        if taken.setdefault(name, own) != own:
            found[key] = taken[name]
    return found


def variables_of(live: LiveExecution, step_id: str) -> dict[str, str]:
    """The outputs of a step as others see them."""
    step = live.machine.steps[step_id]
    return {variable(step.label, key): value for key, value in step.output.items()}


def bounded(outputs: Mapping[str, str], log: str) -> Mapping[str, str]:
    """What a step finds of these variables: themselves, or beyond a limit a file that sets them when sourced.

    PHASED_OUTPUTS names that file; it lies beside the step's log. Raises OSError.
    """
    size = sum(
        len(name) + len(value.encode("utf-8", "surrogateescape")) + 2 for name, value in outputs.items()
    )
    if size <= _BY_VARIABLES_AT_MOST:
        return outputs
    path = log + _HANDED_ON_SUFFIX
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in outputs.items())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    return {HANDED_ON: path}


def _upper(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()
