"""What the test of kill -9 runs: for each line on its input, a child that writes until it is killed.

It tells on its output what each child has saved, after each call: `pid`, then `execution version`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from pathlib import Path

from phased.store.sqlite import SqliteStore
from tests.store.build import Phase, change, record, step


def tell(*words: object) -> None:
    """One line, in one write."""
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


async def write(path: Path, turn: str) -> None:
    """Two executions at a time, for ever; version N of one has the steps 2 to N, each at its version."""
    store = SqliteStore.open(path)
    for number in count():
        pair = [record(f"{turn} {number} {one}", created_at=number) for one in "ab"]
        await store.create([(one, change(one, 0, 1, Phase.PENDING)) for one in pair])
        tell(pair[0].id, 1)
        tell(pair[1].id, 1)
        for version in range(2, 12):
            done = [step(str(earlier), attempt=version) for earlier in range(2, version + 1)]
            await store.save([change(one, version - 1, version, Phase.RUNNING, *done) for one in pair])
            tell(pair[0].id, version)
            tell(pair[1].id, version)


def main() -> None:
    """Fork for each turn: starting Python anew would take most of the test's time."""
    for turn in sys.stdin:
        pid = os.fork()
        if pid == 0:
            tell("pid", os.getpid())
            asyncio.run(write(Path(sys.argv[1]), turn))
        os.waitpid(pid, 0)
        tell("killed")


if __name__ == "__main__":
    main()
