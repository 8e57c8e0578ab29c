"""Modules and styles: under a name that changes with them, small, and complete."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest

from phased.web.bundle import Bundle
from phased.web.rendering import Templates
from tests.api.daemon import Api, Daemon
from tests.web.visitor import Visitor, address_of, elements

ASSETS = Path(__file__).parents[2] / "src" / "phased" / "web" / "assets"
FIRST_PAGE = 150_000
"""Bytes that the first page may take in all."""


def test_the_name_changes_with_the_content(tmp_path: Path) -> None:
    """Of any of them, since modules find each other beside themselves."""
    (tmp_path / "a.js").write_text("one")
    (tmp_path / "b.css").write_text("two")
    (tmp_path / "c.txt").write_text("no asset")
    first = Bundle(tmp_path)
    assert Bundle(tmp_path).address("a.js") == first.address("a.js")
    (tmp_path / "b.css").write_text("three")
    assert Bundle(tmp_path).address("a.js") != first.address("a.js")
    with pytest.raises(KeyError):
        first.address("c.txt")


def test_an_asset_is_kept_for_ever_under_its_name_and_once_under_another(served: Daemon) -> None:
    """A page of the version before finds what there is now."""
    bundle = Bundle()
    with httpx.Client(base_url=address_of(served)) as client:
        for name in ("base.css", "page.js", "icon.svg"):
            answer = client.get(bundle.address(name))
            assert answer.content == (ASSETS / name).read_bytes()
            assert "immutable" in answer.headers["cache-control"]
        packed = client.get(bundle.address("base.css"), headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        whole = client.get(bundle.address("base.css"), headers={"accept-encoding": "identity"})
        assert "content-encoding" not in whole.headers
        assert whole.content == packed.content
        assert client.get("/web/assets/0000/base.css").headers["cache-control"] == "no-store"
        for path in ("nothing.js", "..%2Fpages.py", "%2E%2E/pages.py", "base.css/"):
            answer = client.get(f"/web/assets/{bundle.digest}/{path}")
            assert answer.status_code == 404, path


def test_every_module_finds_what_it_imports() -> None:
    """All names that modules and styles mention are there."""
    for file in ASSETS.glob("*.js"):
        for name in imports(file.read_text()):
            assert (ASSETS / name).is_file(), f"{file.name} imports {name}"


def imports(text: str) -> list[str]:
    """Names of the modules beside a module that it imports, or makes a worker of."""
    return re.findall(r"""(?:from|import|URL\()\s*\(?["']\./([\w.-]+)["']""", text)


def test_the_first_page_is_small(visitor: Visitor, api: Api) -> None:
    """The page, and all that it loads, as it travels."""
    page = visitor.get(f"/web/environments/{api.environment}")
    names = {
        str(address).rpartition("/")[2]
        for tag, attribute in (("script", "src"), ("link", "href"))
        for address in (one[attribute] for one in elements(page.text, tag, attribute))
    }
    waiting = [*names]
    while waiting:
        file = ASSETS / waiting.pop()
        found = imports(file.read_text()) if file.suffix == ".js" else []
        waiting += [name for name in found if name not in names]
        names |= {*found}
    assert {"base.css", "page.js", "live.js", "feed.js"} <= names
    travels = sum(len(gzip.compress((ASSETS / name).read_bytes())) for name in names)
    assert len(page.content) + travels < FIRST_PAGE
    unpacked = sum((ASSETS / name).stat().st_size for name in names)
    assert len(page.content) + unpacked < FIRST_PAGE


def test_every_template_compiles() -> None:
    """With every file that it names."""
    Templates(Bundle().address, "1").compile_all()
