"""Runs command lines of the program, each in a process of its own that need not import anew.

Started as a program: reads one JSON object a line (`arguments`, `environment`, `directory`, and the files
`stdin`, `stdout`, `stderr`), and writes the exit code of each on a line. Most of the time that a command line
takes is spent on imports, and a suite has many of them.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import traceback
from typing import Any


def load() -> None:
    """Import every verb, and what they import when they are called."""
    import phased.cli  # noqa: PLC0415 - this is what the module is for

    for module in pkgutil.iter_modules(phased.cli.__path__):
        importlib.import_module(f"phased.cli.{module.name}")
    for name in ("anyio._backends._asyncio", "phased.daemon", "phased.loader", "phased.client.sync", "yaml"):
        importlib.import_module(name)


def serve() -> None:
    """Until standard input ends."""
    for line in sys.stdin:
        told = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(carry_out(told))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def carry_out(told: dict[str, Any]) -> int:
    """One command line; its exit code."""
    from phased.cli import main  # noqa: PLC0415 - imported long ago

    os.chdir(told["directory"])
    os.environ.clear()
    os.environ.update(told["environment"])
    for number, (name, flags) in enumerate(
        (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))
    ):
        descriptor = os.open(told[name], flags)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as the interpreter opens it
    try:
        code = main(told["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter would
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    load()
    serve()
