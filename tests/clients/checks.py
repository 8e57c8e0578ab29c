"""What the scripts share: checks are functions, and how each ended is printed as JSON, one line.

Imported by programs that run in environments of their own: the standard library alone.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import traceback
from collections.abc import Callable
from typing import Any

Check = Callable[..., Any]


def carry_out(checks: dict[str, Check], *arguments: Any) -> None:
    """Run every check; what went wrong with one keeps none of the others."""
    outcomes = {}
    for name, check in checks.items():
        try:
            if inspect.iscoroutinefunction(check):
                asyncio.run(asyncio.wait_for(check(*arguments), 100))
            else:
                check(*arguments)
        except BaseException:  # noqa: BLE001 - told in the test's failure
            outcomes[name] = traceback.format_exc()
        else:
            outcomes[name] = "ok"
    print(json.dumps(outcomes))
