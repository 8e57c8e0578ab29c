"""A real browser, and a daemon whose page it shows.

Never part of `make test`: `make test-web` asks for it by PHASED_TEST_WEB. Then a browser that is missing is
an error, which says what to install.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.web.browser.site import Site, Visitors, launched, site_of


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, without a window."""
    if not os.environ.get("PHASED_TEST_WEB"):
        pytest.skip("run by `make test-web`, which needs chromium")
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def site(browser: Browser) -> Iterator[Site]:  # noqa: ARG001 - no daemon where there is no browser
    """A daemon with its page, for the tests of one file; nothing is defined in it."""
    with site_of() as made:
        yield made


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Site]:  # noqa: ARG001 - as above
    """One of its own for a test that restarts it or needs it empty."""
    with site_of() as made:
        yield made


@pytest.fixture
def visitors(browser: Browser) -> Iterator[Visitors]:
    """Opens pages for people. None of them may have complained when the test ends."""
    with Visitors(browser) as made:
        yield made
        made.check()
