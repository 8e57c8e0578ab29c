"""A real container engine, wherever DOCKER_HOST names one and it has the image; else each test is skipped.

Never part of `make test`: `make test-docker` asks for it by PHASED_TEST_DOCKER.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.docker.build import ENGINE, IMAGE, Boxes
from tests.runners.build import new_place


@pytest.fixture(scope="session")
def engine() -> str:
    """The address of an engine that answers and has the image that tests use."""
    host = os.environ.get("DOCKER_HOST", "")
    if not os.environ.get("PHASED_TEST_DOCKER"):
        pytest.skip("run by `make test-docker`, which needs a container engine")
    asked = [ENGINE, "image", "inspect", IMAGE]
    if (
        not (host or ENGINE == "podman")
        or subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode
    ):
        pytest.skip(
            f"no container engine with the image {IMAGE} answers at DOCKER_HOST ({host or 'not set'})"
        )
    return host


@pytest.fixture
def boxes(engine: str) -> Iterator[Boxes]:
    """A place whose runs may be containers; what a test leaves is removed."""
    with new_place() as place:
        made = Boxes(place, engine)
        try:
            yield made
        finally:
            made.remove_all()
