"""Whoever looks at the page of a real daemon without a browser: cookies, and what a browser would send."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any, Self

import httpx

from tests.api.daemon import NATIVE, PATIENCE, Api, Daemon


def address_of(daemon: Daemon) -> str:
    """Where the page of a daemon that was started with `--web` is, without a path."""
    line = next(line for line in reversed(daemon.lines) if line.startswith("page on "))
    return line.split()[2].removesuffix("/web/;")


def login_address(daemon: Daemon, *roles: str, environment: str | None = None) -> str:
    """An address that logs in, once."""
    body: dict[str, Any] = {"roles": roles}
    if environment is not None:
        body["environmentId"] = environment
    with daemon.client() as client:
        answer = client.post(f"/{NATIVE}/CreateWebLogin", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["address"])


class Visitor(httpx.Client):
    """A browser of sorts; logged in once it is entered."""

    def __init__(self, daemon: Daemon, *roles: str, environment: str | None = None) -> None:
        super().__init__(base_url=address_of(daemon), timeout=PATIENCE)
        self._address = login_address(daemon, *roles, environment=environment)

    def __enter__(self) -> Self:
        """Logged in."""
        super().__enter__()
        answer = self.get(self._address)
        assert answer.status_code == 303, answer.text
        return self

    def page(self, path: str, status: int = 200) -> str:
        """The text of a page; what it leads on to is followed."""
        answer = self.get(path, follow_redirects=True)
        assert answer.status_code == status, (path, answer.status_code, answer.text)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        Wellformed().check(answer.text)
        return answer.text

    def act(self, method: str, body: Any = None, **headers: str | None) -> httpx.Response:
        """What a button does; a header of None is left out, `_` in its name is `-`."""
        sent: dict[str, str | None] = {
            "origin": str(self.base_url).rstrip("/"),
            "x-phased": "1",
            "content-type": "application/json",
            "sec-fetch-site": "same-origin",
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        given = {name: value for name, value in sent.items() if value is not None}
        content = body if isinstance(body, bytes) else None
        json = {} if body is None else body
        if content is not None:
            return self.post(f"/web/api/{method}", content=content, headers=given)
        return self.request("POST", f"/web/api/{method}", json=json, headers=given)


class Wellformed(HTMLParser):
    """A page's elements, and the rules that each has to keep."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "hr", "path", "rect", "line", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def check(self, text: str) -> None:
        """Every element is closed, ids are unique, nothing is inline that the policy forbids."""
        self.feed(text)
        assert self.open == [], self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in self.VOID:
            self.open.append(tag)
        assert "style" not in found, f"an inline style: {tag} {attrs}"
        assert not [name for name in found if name.startswith("on")], f"an inline handler: {tag} {attrs}"
        assert tag != "script" or found.get("src"), "an inline script"
        assert tag != "style", "an inline style sheet"
        if (one := found.get("id")) is not None:
            assert one not in self.ids, f"two elements have the id {one}"
            self.ids.add(one)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open, f"closed and never opened: {tag}"
            assert self.open.pop() == tag, f"{tag} closes something else"


def elements(text: str, tag: str, attribute: str = "") -> list[dict[str, str | None]]:
    """The attributes of every element of a kind, of those alone that have one where it is named."""
    page = Wellformed()
    page.check(text)
    return [found for name, found in page.tags if name == tag and (not attribute or attribute in found)]


def api_of(daemon: Daemon) -> Api:
    """Methods over the daemon's own socket."""
    return Api(daemon.client())
