"""One daemon with the page for each module, with something to look at."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.api.daemon import TASKS, Api, Daemon, daemon
from tests.web.visitor import Visitor, api_of

collect_ignore = [] if find_spec("playwright") else ["browser"]
"""What needs a browser is not even looked at where the extra `web-test` is not installed."""

FILE = """\
tasks:
  gen:
    name: Generate code
    command: echo generated
  build:
    description: Compiles everything.
    command: echo built
    dependsOn: [gen]
    triggeredBy: [manual, prebuild]
  fail:
    command: exit 3
  late:
    command: echo never
    dependsOn: [fail]
  hostile:
    name: "<script>alert(1)</script> \\u202eedoc\\u202c"
    description: "\\"><img src=x onerror=alert(2)>"
    command: "echo '<b>bold</b>'"
services:
  db:
    commands: {start: sleep 1000, ready: "true"}
    triggeredBy: [postEnvironmentStart]
    dependsOn: [gen]
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Daemon]:
    """A daemon with the page, whose environment has some tasks and a service."""
    with daemon() as made:
        (made.workspace / ".ona").mkdir()
        (made.workspace / ".ona" / "automations.yaml").write_text(FILE)
        made.start("--web")
        yield made


@pytest.fixture
def api(served: Daemon) -> Iterator[Api]:
    """Methods over the socket: an admin."""
    made = api_of(served)
    yield made
    made.client.close()


@pytest.fixture
def visitor(served: Daemon) -> Iterator[Visitor]:
    """Somebody who may do everything."""
    with Visitor(served) as made:
        yield made


@pytest.fixture
def viewer(served: Daemon) -> Iterator[Visitor]:
    """Somebody who may only look."""
    with Visitor(served, "ENVIRONMENT_VIEWER") as made:
        yield made


@pytest.fixture
def tasks(api: Api) -> dict[str, str]:
    """Ids of the tasks, by reference."""
    found = api.call(f"{TASKS}/ListTasks")["tasks"]
    return {one["metadata"]["reference"]: one["id"] for one in found}


@pytest.fixture
def service(api: Api) -> str:
    """The id of the service `db`."""
    return str(api.call(f"{TASKS}/ListServices")["services"][0]["id"])
