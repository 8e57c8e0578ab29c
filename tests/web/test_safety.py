"""What pages say to a browser, whom they answer, and that what others wrote stays text."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import httpx
import pytest

import phased.web
from phased.web.headers import POLICY
from phased.web.rendering import plain, stranger
from tests.api.daemon import NATIVE, NOBODY, SECRETS, TASKS, Api, Daemon
from tests.web.visitor import Visitor, address_of, elements

ROOM = Path(phased.web.__file__).parent
SECRET = f"s3cret-{uuid.uuid4()}"


def paths(api: Api, service: str) -> list[str]:
    """Every kind of page that there is something for."""
    execution = api.run(f"t{uuid.uuid4().hex[:8]}", "echo done")["id"]
    fired = api.call(f"{NATIVE}/FireTrigger", {"environmentId": api.environment, "trigger": "manual"})
    environment = f"/web/environments/{api.environment}"
    return [
        "/web/", environment, f"{environment}/graph", f"{environment}/graph?reference=hostile",
        "/web/history", f"/web/history?environment={api.environment}&phase=failed&within=day",
        f"/web/executions/{execution}", f"/web/executions/{execution}/log", f"/web/services/{service}",
        f"/web/services/{service}/log", f"/web/firings/{fired['firing']['id']}",
    ]  # fmt: skip


def test_every_answer_has_the_headers(visitor: Visitor, api: Api, service: str) -> None:
    """Pages, data, assets, errors, and refusals before anybody is known."""
    asked: list[httpx.Response] = [visitor.get(path) for path in paths(api, service)]
    asset = next(iter(elements(asked[1].text, "script")))["src"]
    stranger = httpx.Client(base_url=visitor.base_url)
    with stranger:
        asked += [
            visitor.get(str(asset)), visitor.get("/web/assets/0/nothing.js"), visitor.get("/web/nothing"),
            visitor.get("/nothing"), visitor.get("/"), visitor.get("/healthz"), visitor.get("/web/login"),
            visitor.act(f"{NATIVE}/GetStatus"), visitor.act("no.Such/Method"),
            visitor.get(f"/web/executions/{NOBODY}"), visitor.get("/web/executions/nonsense"),
            visitor.head("/web/events"), stranger.get("/web/"), stranger.get("/web/events"),
            visitor.get("/web/", headers={"host": "evil.example"}), visitor.put("/web/"),
        ]  # fmt: skip
    for answer in asked:
        headers = answer.headers
        about = (answer.request.url, answer.status_code, answer.text)
        assert headers["content-security-policy"] == POLICY, about
        assert headers["x-content-type-options"] == "nosniff", about
        assert headers["x-frame-options"] == "DENY", about
        assert headers["referrer-policy"] == "same-origin", about
        assert headers["cross-origin-opener-policy"] == "same-origin", about
        assert headers["cross-origin-resource-policy"] == "same-origin", about
        lasting = answer.request.url.path == asset
        assert ("no-store" in headers["cache-control"]) is not lasting, about
    assert "unsafe" not in POLICY
    assert "*" not in POLICY


def test_a_page_of_another_origin_can_do_nothing(visitor: Visitor, tasks: dict[str, str], api: Api) -> None:
    """Neither from another site, nor from another port of this machine, nor by a form."""
    body = {"id": tasks["gen"]}
    before = len(api.call(f"{TASKS}/ListTaskExecutions").get("taskExecutions", []))
    method = f"{TASKS}/StartTask"
    own = str(visitor.base_url).rstrip("/")
    for headers, status in (
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": None}, 403),
        ({"origin": None, "sec_fetch_site": None}, 403),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"x_phased": None}, 403),
        ({"x_phased": "0"}, 403),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"host": "evil.example", "origin": "http://evil.example"}, 403),
    ):
        answer = visitor.act(method, body, **headers)
        assert answer.status_code == status, (headers, answer.text)
    assert visitor.get(f"/web/api/{method}").status_code == 405
    assert len(api.call(f"{TASKS}/ListTaskExecutions").get("taskExecutions", [])) == before
    assert visitor.act(method, body, sec_fetch_site=None).status_code == 200
    port = own.rpartition(":")[2]
    for host in (f"localhost:{port}", "localhost:1", f"127.0.0.1:{port}", "127.0.0.1:1"):  # also by a tunnel
        answer = visitor.act(f"{NATIVE}/GetStatus", {}, host=host, origin=f"http://{host}")
        assert answer.status_code == 200, (host, answer.text)


def test_a_page_of_another_origin_can_read_nothing(visitor: Visitor) -> None:
    """What leads here may, and is asked for again by our own page, as the cookie is a strict one."""
    for site in ("cross-site", "same-site"):
        fetched = {"sec-fetch-site": site, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}
        for path in ("/web/events", "/web/history", "/web/"):
            assert visitor.get(path, headers=fetched).status_code == 403
        followed = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
        assert visitor.get("/web/history", headers=followed).status_code == 200
        with httpx.Client(base_url=visitor.base_url) as stranger:
            again = stranger.get('/web/history?reference="><b>', headers=followed)
            assert again.status_code == 200
            (refresh,) = elements(again.text, "meta", "http-equiv")
            assert refresh["content"] == "0;url=/web/history?reference=%22%3E%3Cb%3E"
            assert stranger.get("/web/history").status_code == 401
            assert stranger.get("/web/history", headers={"sec-fetch-site": "none"}).status_code == 401


def test_methods_of_the_table_are_called_with_the_visitors_roles(
    visitor: Visitor, viewer: Visitor, tasks: dict[str, str]
) -> None:
    """Whoever may not is refused, whatever the page shows; errors are the API's own."""
    body = {"id": tasks["gen"]}
    assert viewer.act(f"{TASKS}/GetTask", body).json()["task"]["id"] == tasks["gen"]
    refused = viewer.act(f"{TASKS}/StartTask", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    assert "cannot use StartTask" in refused.json()["message"]
    for method, given, status, code in (
        (f"{TASKS}/StartTask", {"id": NOBODY}, 404, "not_found"),
        (f"{TASKS}/StartTask", {"id": "x"}, 400, "invalid_argument"),
        (f"{TASKS}/StartTask", b"{", 400, "invalid_argument"),
        (f"{TASKS}/StartTask", b'{"id":"' + b"x" * 5_000_000 + b'"}', 429, "resource_exhausted"),
        (f"{TASKS}/NoSuchMethod", {}, 501, "unimplemented"),
        ("gitpod.v1.EventService/WatchEvents", {}, 501, "unimplemented"),
    ):
        answer = visitor.act(method, given)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_no_method_about_secrets_or_tokens_is_open_to_pages(visitor: Visitor, api: Api) -> None:
    """A script that got into a page could ask no more than that."""
    closed = (
        f"{NATIVE}/CreateToken", f"{NATIVE}/ListTokens", f"{NATIVE}/CreateWebLogin", f"{SECRETS}/ListSecrets",
        f"{SECRETS}/GetSecretValue", f"{SECRETS}/CreateSecret",
        "gitpod.v1.EnvironmentService/CreateEnvironmentAccessToken",
        "gitpod.v1.EnvironmentService/CreateEnvironmentLogsToken",
    )  # fmt: skip
    for method in closed:
        answer = visitor.act(method, {"environmentId": api.environment})
        assert (answer.status_code, answer.json()["code"]) == (501, "unimplemented"), method


def test_a_viewer_sees_no_button(viewer: Visitor, api: Api, service: str) -> None:
    """But that for logging out."""
    for path in paths(api, service):
        calls = elements(viewer.page(path), "button", "data-call")
        assert calls == [], (path, calls)
        assert elements(viewer.page(path), "button", "data-restart") == []


def test_what_others_wrote_is_text(visitor: Visitor, api: Api, tasks: dict[str, str], service: str) -> None:
    """Names, descriptions, commands, messages, and what the address says."""
    api.until(api.start(tasks["hostile"]), "SUCCEEDED")
    environment = f"/web/environments/{api.environment}"
    wanted = "%22%3E%3Cscript%3Ealert(3)%3C%2Fscript%3E"
    for path in (
        *paths(api, service),
        f"/web/history?environment={api.environment}&reference={wanted}",
        f"/web/history?environment={wanted}",
        f"/web/history?phase={wanted}",
        f"/web/history?within={wanted}",
        f"/web/history?after={wanted}",
        f"{environment}/graph?reference={wanted}",
        f"/web/executions/{wanted}",
        f"/web/{wanted}",
    ):
        answer = visitor.get(path, follow_redirects=True)
        assert answer.status_code in {200, 400, 404}, (path, answer.status_code)
        elements(answer.text, "main")
        for raw in ("<script>alert", "<img src=x", "\u202e", '"><script'):
            assert raw not in answer.text, path
    page = visitor.page(environment)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert 'title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>' in page


def test_no_secret_is_in_any_page(visitor: Visitor, api: Api) -> None:
    """Of a task and a service that have it as a variable, write it, and set it as an output."""
    body = {"name": "KEY", "value": SECRET, "environmentVariable": True, "environmentId": api.environment}
    made = api.post(f"{SECRETS}/CreateSecret", body)
    assert made.status_code == 200, made.text
    task = api.task("leaks", 'echo "it is $KEY"; printf "OUT=%s\\n" "$KEY" > "$PHASED_OUTPUT"; exit 1')
    execution = api.until(api.start(task), "FAILED")["id"]
    commands = {"start": 'echo "it is $KEY"; exit 1'}
    service = str(
        api.call(
            f"{TASKS}/CreateService",
            {
                "environmentId": api.environment,
                "metadata": {"reference": "leaky"},
                "spec": {"commands": commands},
            },
        )["service"]["id"]
    )
    api.call(f"{TASKS}/StartService", {"id": service})
    shown = [
        *paths(api, service),
        f"/web/executions/{execution}",
        f"/web/logs/executions/{execution}?follow=0",
        f"/web/logs/services/{service}?follow=0",
        "/web/history",
    ]
    for path in shown:
        assert SECRET not in visitor.get(path, follow_redirects=True).text, path
    assert "***" in visitor.get(f"/web/logs/executions/{execution}?follow=0").text
    told = visitor.act(f"{TASKS}/GetTaskExecution", {"id": execution})
    assert SECRET not in told.text


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_inline() -> None:
    """In no template, module or style; no text becomes HTML."""
    for file in [*(ROOM / "templates").iterdir(), *(ROOM / "assets").iterdir()]:
        text = file.read_text()
        found = re.findall(
            r"(?:https?:)?//[\w.-]+\.[a-z]{2,}", text.replace("http://www.w3.org/2000/svg", "")
        )
        assert found == [], (file.name, found)
        assert not re.search(r"\bstyle\s*=\s*\"|\son[a-z]+=\"|javascript:", text), file.name
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), file.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), (
            file.name
        )
        assert "|safe" not in text, file.name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "<bdi>plain</bdi>"),
        ("<b>&\"'", "<bdi>&lt;b&gt;&amp;&#34;&#39;</bdi>"),
        ("a\u202eb", '<bdi>a<span class="mark" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>b</bdi>'),
        ("\x1b[31m", '<bdi><span class="mark" title="control character">U+001B</span>[31m</bdi>'),
        ("two\nlines\t.", "<bdi>two\nlines\t.</bdi>"),
        ("\udc80", '<bdi><span class="mark" title="control character">U+DC80</span></bdi>'),
        ("שלום", "<bdi>שלום</bdi>"),
    ],
)
def test_strangers_words(text: str, shown: str) -> None:
    """Of their own direction, with marks for what is not seen."""
    assert stranger(text) == shown
    assert plain("x\u202ey") == "xU+202Ey"


def test_the_page_is_not_on_the_socket(served: Daemon) -> None:
    """Who has the socket has the API."""
    with served.client() as client:
        assert client.get("/web/").status_code == 404
        assert client.get("/").status_code == 404
    assert httpx.get(f"{address_of(served)}/").headers["location"] == "/web/"
