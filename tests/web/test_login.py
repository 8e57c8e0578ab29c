"""Logging in and out: an address that is good once, a session that is a token, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from phased.access.callers import Caller
from phased.api.listeners import bind_web, is_web
from phased.api.web_logins import PATIENCE as LASTS
from phased.api.web_logins import WebLogins, reachable, widest
from phased.contract.resource import ResourceRole as Role
from phased.contract.subject import Principal, Subject
from phased.errors import FileUnreadable, InvalidArgument, PermissionDenied, SettingsError
from phased.settings import Settings
from phased.settings.sections import WebSettings
from phased.testing.fake_clock import FakeClock
from tests.api.daemon import ENVIRONMENTS, NATIVE, Api, Daemon, daemon, wait_for
from tests.integration.test_serve import _certificate as self_signed
from tests.web.visitor import Visitor, address_of, api_of, login_address


def program(
    daemon: Daemon, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`phased` beside a daemon, with no display but what `env` names."""
    displays = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    command = [sys.executable, "-m", "phased", *arguments, "--state-dir", str(daemon.state)]
    return subprocess.run(
        [*command, "--socket", str(daemon.socket)],
        env=daemon.environment(displays | dict(env or {})),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=daemon.home,
    )


def test_the_address_logs_in_once(served: Daemon) -> None:
    """Whoever has it second is told what to do."""
    done = program(served, "web", "--no-browser")
    assert (done.returncode, done.stderr) == (0, "")
    address = done.stdout.strip()
    with httpx.Client() as first, httpx.Client() as second:
        answer = first.get(address)
        assert (answer.status_code, answer.headers["location"]) == (303, "/web/")
        morsel = next(iter(SimpleCookie(answer.headers["set-cookie"]).values()))
        assert morsel.key == f"phased-{address_of(served).rpartition(':')[2]}"
        assert morsel["httponly"] is True
        assert (morsel["samesite"], morsel["path"], morsel["max-age"]) == ("strict", "/web", "43200")
        assert not morsel["secure"]
        assert first.get(f"{address_of(served)}/web/").status_code == 303
        again = second.get(address)
        assert (again.status_code, again.cookies) == (403, httpx.Cookies())
        assert "used before" in again.text
        assert "phased web" in again.text
        assert second.get(f"{address_of(served)}/web/").status_code == 401


def test_who_only_looks_at_the_address_uses_nothing_up(served: Daemon) -> None:
    """A HEAD, or a wrong code beside it."""
    address = login_address(served)
    assert httpx.head(address).status_code == 405
    assert httpx.get(f"{address}x").status_code == 403
    assert httpx.get(f"{address_of(served)}/web/login").status_code == 403
    assert httpx.get(address).status_code == 303


def test_logging_out_ends_the_session_for_whoever_has_its_cookie(served: Daemon, api: Api) -> None:
    """Its token is revoked."""
    before = {one["id"] for one in api.call(f"{NATIVE}/ListTokens").get("tokens", [])}
    with Visitor(served) as visitor, httpx.Client(base_url=address_of(served)) as thief:
        made = [one for one in api.call(f"{NATIVE}/ListTokens")["tokens"] if one["id"] not in before]
        assert [(one["description"], "expiresAt" in one) for one in made] == [("web page", True)]
        thief.cookies.update(visitor.cookies)
        assert thief.get("/web/").status_code == 303
        origin = {"origin": address_of(served)}
        assert visitor.post("/web/logout", headers={"origin": "http://evil.example"}).status_code == 403
        assert thief.get("/web/").status_code == 303
        answer = visitor.post("/web/logout", headers=origin)
        assert (answer.status_code, "You are logged out" in answer.text) == (200, True)
        assert not visitor.cookies
        assert thief.get("/web/").status_code == 401
        assert thief.post("/web/logout", headers=origin).status_code == 200
    assert {one["id"] for one in api.call(f"{NATIVE}/ListTokens").get("tokens", [])} <= before


def test_a_revoked_session_is_told_what_to_do_and_its_stream_ends(served: Daemon, api: Api) -> None:
    """Pages, methods, logs and the feed alike."""
    before = {one["id"] for one in api.call(f"{NATIVE}/ListTokens").get("tokens", [])}
    with Visitor(served) as visitor, visitor.stream("GET", "/web/events") as feed:
        lines = feed.iter_lines()
        assert next(lines) == "event: snapshot"
        for one in api.call(f"{NATIVE}/ListTokens")["tokens"]:
            if one["id"] not in before:
                api.call(f"{NATIVE}/RevokeToken", {"id": one["id"]})
        assert [line for line in lines if line.startswith("event: ")][-1] == "event: end"
        page = visitor.get("/web/")
        assert (page.status_code, "phased web" in page.text) == (401, True)
        for path in ("/web/events", "/web/logs/executions/0b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"):
            answer = visitor.get(path)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        acted = visitor.act(f"{NATIVE}/GetStatus")
        assert (acted.status_code, acted.json()["code"]) == (401, "unauthenticated")


def test_a_token_of_another_kind_is_no_session(served: Daemon, api: Api) -> None:
    """Tickets for logs and steps open no page, whatever the cookie's name."""
    ticket = api.call(f"{ENVIRONMENTS}/CreateEnvironmentLogsToken", {"environmentId": api.environment})
    with httpx.Client(base_url=address_of(served)) as client:
        name = f"phased-{address_of(served).rpartition(':')[2]}"
        client.cookies.set(name, ticket["accessToken"])
        assert client.get("/web/").status_code == 401
        client.cookies.set(name, 'nonsense"\\')
        assert client.get("/web/").status_code == 401
        client.headers["authorization"] = f"Bearer {ticket['accessToken']}"
        assert client.get("/web/").status_code == 401


def test_roles_are_the_makers_or_fewer(served: Daemon, api: Api) -> None:
    """Nobody gets more out of the page than they have."""
    token = api.token("ENVIRONMENT_VIEWER", "USER_IDENTITY")
    weak = {"authorization": f"Bearer {token}"}
    refused = api.post(f"{NATIVE}/CreateWebLogin", {"roles": ["ENVIRONMENT_USER"]}, headers=weak)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    allowed = api.call(f"{NATIVE}/CreateWebLogin", {}, headers=weak)
    with httpx.Client(base_url=address_of(served)) as client:
        assert client.get(allowed["address"]).status_code == 303
        page = client.get(f"/web/environments/{api.environment}")
        assert (page.status_code, "StartTask" in page.text) == (200, False)
    assert api.refused(f"{NATIVE}/CreateWebLogin", {"roles": ["NO_SUCH"]})[0] == "invalid_argument"
    viewer = {"authorization": f"Bearer {api.token('ENVIRONMENT_VIEWER')}"}
    assert api.post(f"{NATIVE}/CreateWebLogin", {}, headers=viewer).status_code == 403


def test_a_session_of_one_environment_sees_no_other(served: Daemon, api: Api) -> None:
    """As if it were not there."""
    body = {"spec": {"machine": {"class": api.call(f"{ENVIRONMENTS}/ListEnvironmentClasses")[
        "environmentClasses"][0]["id"]}}}  # fmt: skip
    other = str(api.call(f"{ENVIRONMENTS}/CreateEnvironment", body)["environment"]["id"])
    try:
        with Visitor(served, environment=api.environment) as visitor:
            assert visitor.get("/web/").headers["location"].endswith(api.environment)
            assert visitor.get(f"/web/environments/{other}").status_code == 404
            assert visitor.get(f"/web/history?environment={other}").status_code == 200
        with Visitor(served) as visitor:
            assert other in visitor.page("/web/")
    finally:
        api.call(f"{ENVIRONMENTS}/DeleteEnvironment", {"environmentId": other, "force": True})


def test_a_daemon_without_the_page_says_how_to_get_it() -> None:
    """The address is not made up."""
    with daemon() as made:
        made.start()
        done = program(made, "web")
        assert (done.returncode, done.stdout) == (4, "")
        assert "phased serve --web" in done.stderr
        with made.client() as client:
            assert client.get("/web/").status_code == 404


def test_neither_code_nor_token_is_written_anywhere() -> None:
    """Not in the log at its most talkative, nor in the state; only a digest is."""
    with daemon() as made:
        process = made.start("--web", env={"PHASED_LOG_LEVEL": "debug"})
        address = login_address(made)
        with httpx.Client(base_url=address_of(made)) as client:
            client.get(address)
            token = next(iter(client.cookies.values()))
            client.get(address)
            client.get("/web/nothing")
            client.get(f"/web/events?code={token}", headers={"host": "evil.example"})
        process.send_signal(signal.SIGTERM)
        process.wait()
        assert process.stderr is not None
        said = process.stderr.read()
        assert "request_refused" in said
        code = address.partition("code=")[2]
        kept = b"".join(file.read_bytes() for file in made.state.rglob("*") if file.is_file())
        for secret in (code, token):
            assert secret not in said
            assert secret.encode() not in kept


def test_port_and_session_outlive_a_restart_and_a_reload() -> None:
    """So that pages that are open go on."""
    with daemon() as made:
        process = made.start("--web")
        first = address_of(made)
        with Visitor(made) as visitor:
            process.send_signal(signal.SIGTERM)
            process.wait()
            process = made.start("--web")
            assert address_of(made) == first
            assert visitor.get("/web/").status_code == 303
            os.kill(process.pid, signal.SIGUSR2)
            assert process.stderr is not None
            lines = iter(process.stderr.readline, "")
            said = []
            for line in lines:
                said.append(line)
                if line == "READY\n":
                    break
            assert any(line.startswith(f"page on {first}/web/") for line in said), said
            wait_for(lambda: visitor.get("/web/").status_code == 303, "the page after a reload")
            with made.client() as client:
                assert client.get("/healthz").status_code == 200


def test_the_port_stays_as_long_as_it_is_free(tmp_path: Path) -> None:
    """One that is taken is not waited for: another one is, and is remembered."""
    remembered = tmp_path / "web-address"
    settings = Settings()
    first = bind_web(settings, remembered)
    address = remembered.read_text()
    assert first.listener.origin == f"http://{address}"
    assert (first.listener.pages, first.listener.local) == (True, False)
    assert is_web(first.socket, settings, remembered)
    first.socket.close()
    second = bind_web(settings, remembered)
    third = bind_web(settings, remembered)  # the second still listens
    try:
        assert second.listener.origin == f"http://{address}"
        assert third.listener.origin != second.listener.origin
        assert remembered.read_text() == third.listener.origin.removeprefix("http://")
        assert not is_web(second.socket, settings, remembered)
    finally:
        second.socket.close()
        third.socket.close()
    remembered.write_text("nonsense")
    bind_web(settings, remembered).socket.close()


def test_an_address_that_others_can_reach_has_to_be_allowed(tmp_path: Path) -> None:
    """As for the API."""
    settings = Settings(web=WebSettings(enabled=True, address="0.0.0.0:0"))
    with pytest.raises(SettingsError, match="others could reach it"):
        bind_web(settings, tmp_path / "web-address")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        settings = Settings(web=WebSettings(enabled=True, address=taken))
        with pytest.raises(FileUnreadable, match=r"set web\.address"):
            bind_web(settings, tmp_path / "web-address")


def test_an_address_that_settings_name_is_used() -> None:
    """Beside the API's own listener, which has no pages; theirs has no methods."""
    with daemon() as made:
        made.start("--web", "--listen", "127.0.0.1:0", env={"PHASED_WEB_ADDRESS": "127.0.0.1:0"})
        with Visitor(made) as visitor, made.tcp(api_of(made).token()) as api:
            assert visitor.get("/web/").status_code == 303
            assert api.get("/web/").status_code == 404
            assert visitor.post(f"/{NATIVE}/GetStatus", json={}).status_code == 404
            assert visitor.get("/readyz").status_code == 404
            assert visitor.get("/metrics").status_code == 404
            assert visitor.get("/healthz").text == "ok\n"
            gateways = api.post("/gitpod.v1.GatewayService/ListGateways", json={}).json()["gateways"]
            assert [one["url"] for one in gateways if one["url"] == address_of(made)] == []


def test_a_browser_is_opened_without_telling_everybody(served: Daemon) -> None:
    """Arguments of processes are public: it is given a file that only this user can read."""
    told = served.home / "told"
    browser = served.home / "browser"
    browser.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}.part; mv {told}.part {told}\n')
    browser.chmod(0o755)
    done = program(served, "web", env={"BROWSER": str(browser)})
    address = done.stdout.strip()
    assert done.returncode == 0, done.stderr
    wait_for(told.exists, "the browser is started")
    shown = told.read_text().strip()
    assert shown == (served.state / "web-login.html").as_uri()
    page = served.state / "web-login.html"
    assert page.stat().st_mode & 0o777 == 0o600
    assert address in page.read_text()
    assert json.loads(program(served, "web", "-o", "json").stdout)["address"].startswith(address_of(served))


def test_for_a_team_with_a_certificate_and_a_name() -> None:
    """The cookie then travels by TLS alone; the page's own name is no other origin."""
    with daemon() as made:
        certificate, key = self_signed(made.home)
        settings = {
            "PHASED_WEB_ADDRESS": "0.0.0.0:0",
            "PHASED_LISTEN_REMOTE": "true",
            "PHASED_LISTEN_HOSTS": "build.example.org",
            "PHASED_LISTEN_CERTIFICATE": str(certificate),
            "PHASED_LISTEN_KEY": str(key),
        }
        made.start("--web", env=settings)
        address = login_address(made)
        assert address.startswith("https://127.0.0.1:")
        named = {"host": "build.example.org", "origin": "https://build.example.org"}
        with httpx.Client(verify=False, headers=named) as client:
            answer = client.get(address)
            assert answer.status_code == 303
            assert "; Secure" in answer.headers["set-cookie"]
            base = address.partition("/web/")[0]
            sent = {"x-phased": "1", "cookie": answer.headers["set-cookie"].partition(";")[0]}
            acted = client.post(f"{base}/web/api/{NATIVE}/GetStatus", json={}, headers=sent)
            assert acted.status_code == 200, acted.text
            other = {"host": "other.example.org", "origin": "https://other.example.org"}
            assert client.get(f"{base}/web/", headers=sent | other).status_code == 403


# ---- the codes --------------------------------------------------------------------------------------


def caller(*roles: Role) -> Caller:
    """Somebody with these roles."""
    return Caller(Subject(principal=Principal.USER), frozenset(roles))


def test_a_code_is_good_for_five_minutes() -> None:
    """By the boot clock, and once."""
    clock = FakeClock()
    logins = WebLogins("http://127.0.0.1:1", clock)
    maker = caller(Role.ENVIRONMENT_VIEWER)
    codes = [logins.create(maker, maker.roles, None).partition("code=")[2] for _ in range(3)]
    assert len({*codes}) == 3
    first = logins.redeem(codes[0])
    assert first is not None
    assert first.roles == maker.roles
    assert logins.redeem(codes[0]) is None
    clock.advance(LASTS - 1)
    assert logins.redeem(codes[1]) is not None
    clock.advance(1)
    assert logins.redeem(codes[2]) is None
    assert logins.redeem("") is None
    with pytest.raises(PermissionDenied):
        logins.create(maker, frozenset({Role.ENVIRONMENT_ADMIN}), None)
    with pytest.raises(InvalidArgument):
        logins.create(maker, frozenset(), None)


def test_an_address_that_a_browser_can_open() -> None:
    """Where the daemon listens on all there are, this machine is one of them."""
    assert reachable("https://0.0.0.0:7000") == "https://127.0.0.1:7000"
    assert reachable("http://[::]:7000") == "http://[::1]:7000"
    assert reachable("http://10.0.0.1:7000") == "http://10.0.0.1:7000"


def test_the_widest_roles_are_named_by_the_fewest() -> None:
    """What others of them hold is left out."""
    known = frozenset({Role.ORG_ADMIN, Role.ENVIRONMENT_USER, Role.ENVIRONMENT_VIEWER, Role.USER_IDENTITY})
    assert widest(caller(*known), None, known) == {Role.ORG_ADMIN}
    some = caller(Role.ENVIRONMENT_USER, Role.ENVIRONMENT_VIEWER, Role.USER_IDENTITY)
    assert widest(some, None, known) == {Role.ENVIRONMENT_USER, Role.USER_IDENTITY}
    assert widest(caller(), None, known) == frozenset()
