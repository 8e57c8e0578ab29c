"""The daemon's life: ready, alone on its state directory, and how it ends."""

from __future__ import annotations

import os
import resource
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.api.daemon import EVENTS, PATIENCE, SECRETS, TASKS, Api, Daemon, automations, daemon, wait_for


@pytest.fixture
def one() -> Iterator[Daemon]:
    """A daemon that is not started yet."""
    with daemon() as made:
        yield made


def ended(process: subprocess.Popen[str]) -> str:
    """What it said on the way to its end, which has to be a good one."""
    assert process.stderr is not None
    said = process.stderr.read()
    assert process.wait(PATIENCE) == 0, said
    return said


def test_ready_means_that_the_first_request_is_answered(one: Daemon) -> None:
    """And the workspace's file is known by then."""
    (one.workspace / ".ona").mkdir()
    (one.workspace / ".ona" / "automations.yaml").write_text(automations(build="echo built"))
    process = one.start()
    api = Api(one.client())
    (task,) = api.call(f"{TASKS}/ListTasks")["tasks"]
    assert task["metadata"]["reference"] == "build"
    api.until(api.start(task["id"]), "SUCCEEDED")
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert not one.socket.exists()


def test_a_second_daemon_is_refused_and_told_of_the_first(one: Daemon) -> None:
    """By the pid; the first goes on."""
    process = one.start()
    second = subprocess.run(
        one.command("--socket", str(one.home / "q.sock")),
        env=one.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 4
    assert f"process {process.pid} holds it" in second.stderr
    assert one.client().get("/healthz").status_code == 200
    lock = (one.state / "lock").read_text()
    assert str(process.pid) in lock
    assert str(one.socket) in lock


def test_a_socket_that_nobody_has_any_more_is_replaced(one: Daemon) -> None:
    """A daemon that was killed leaves its socket; what is no socket is left alone."""
    process = one.start()
    process.kill()
    process.wait()
    assert one.socket.exists()
    one.start()
    assert one.client().get("/healthz").status_code == 200
    other = one.home / "file"
    other.write_text("precious")
    refused = subprocess.run(
        one.command("--state-dir", str(one.home / "t"), "--socket", str(other)),
        env=one.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode == 2
    assert "something that is no socket is there" in refused.stderr
    assert other.read_text() == "precious"


def test_the_end_stops_what_runs_and_says_what_it_waits_for(one: Daemon) -> None:
    """New work is refused meanwhile, what is asked is still answered, streams end; a second signal kills."""
    process = one.start(env={"PHASED_RUN_STOP_TIMEOUT": "1000s", "PHASED_DAEMON_STOP_TIMEOUT": "2000s"})
    assert process.stderr is not None
    api = Api(one.client())
    stubborn = api.start(api.task("stubborn", "trap '' TERM; echo ready; while :; do sleep 0.1; done"))
    url = wait_for(lambda: api.execution(stubborn)["status"].get("logUrl"), "a log")
    wait_for(lambda: "ready" in api.client.get(url, params={"follow": "0"}).text, "it is ready")
    waiting = api.task("waiting", "true")
    with one.client() as other, other.stream("POST", f"/{EVENTS}/WatchEvents", json={}) as response:
        lines = response.iter_lines()
        next(lines)
        with one.client() as third, third.stream("GET", "/events") as sent:
            process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line != "{}"] == []
            assert "event: end" in list(sent.iter_lines())
    assert api.refused(f"{TASKS}/StartTask", {"id": waiting})[0] == "unavailable"
    assert api.client.get("/readyz").status_code == 503
    assert api.phase(stubborn) == "RUNNING"
    said = next(line for line in process.stderr if line.startswith("waiting for "))
    assert f"waiting for stubborn ({stubborn}): pid " in said
    assert " s left" in said
    process.send_signal(signal.SIGTERM)
    assert "killing what still runs" in ended(process)
    one.start()
    assert "killed" in Api(one.client()).execution(stubborn)["status"]["failureMessage"]


def test_work_is_kept_where_settings_say_so(one: Daemon) -> None:
    """`daemon.on_stop = keep`: the step outlives the daemon."""
    process = one.start(env={"PHASED_DAEMON_ON_STOP": "keep"})
    api = Api(one.client())
    pid_file = one.workspace / "pid"
    api.start(api.task("lasting", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 1000"))
    pid = int(wait_for(lambda: pid_file.exists() and pid_file.read_text(), "its pid"))
    process.send_signal(signal.SIGTERM)
    ended(process)
    os.kill(pid, 0)


def test_the_service_manager_is_told(one: Daemon) -> None:
    """READY, STOPPING, and a watchdog's signs of life (sd_notify(3))."""
    path = one.home / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(PATIENCE)
        process = one.start(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "3000000"})
        told = {listener.recv(4096).decode().partition("\n")[0] for _ in range(2)}
        assert told == {"READY=1", "WATCHDOG=1"}
        process.send_signal(signal.SIGTERM)
        while not (text := listener.recv(4096).decode()).startswith("STOPPING=1"):
            assert text.startswith(("WATCHDOG=1", "STATUS="))
        ended(process)


def test_what_is_refused_is_logged_without_secrets(one: Daemon) -> None:
    """Which method and how, not what was sent."""
    process = one.start("--listen", "127.0.0.1:0", env={"PHASED_LOG_LEVEL": "info"})
    api = Api(one.client())
    with one.tcp("a-token-that-leaked") as client:
        assert client.post(f"/{TASKS}/ListTasks", json={}).status_code == 401
        assert client.post(f"/{TASKS}/ListTasks?token=in-the-query", json={}).status_code == 401
    body = {"name": "x", "value": "a-value-that-leaked", "environmentVariable": True}
    assert api.refused(f"{SECRETS}/CreateSecret", body)[0] == "invalid_argument"
    process.send_signal(signal.SIGTERM)
    said = ended(process)
    assert f"event='request_refused' level='info' component='phased.api' method='{TASKS}/ListTasks'" in said
    assert f"method='{SECRETS}/CreateSecret'" in said
    assert "leaked" not in said
    assert "in-the-query" not in said


def test_another_address_needs_a_word_in_the_settings(one: Daemon) -> None:
    """Loopback is the default."""
    refused = subprocess.run(
        one.command("--listen", "0.0.0.0:0"),
        env=one.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert refused.returncode == 2
    assert "set listen.remote" in refused.stderr
    one.start("--listen", "0.0.0.0:0", env={"PHASED_LISTEN_REMOTE": "true"})
    port = one.address.rpartition(":")[2]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/healthz").text == "ok\n"


def test_tls_by_the_settings(one: Daemon) -> None:
    """With a certificate and its key."""
    certificate, key = _certificate(one.home)
    one.start(
        "--listen",
        "127.0.0.1:0",
        env={"PHASED_LISTEN_CERTIFICATE": str(certificate), "PHASED_LISTEN_KEY": str(key)},
    )
    assert one.address.startswith("https://127.0.0.1:")
    token = Api(one.client()).token("ENVIRONMENT_VIEWER")
    trusting = ssl.create_default_context(cafile=str(certificate))
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=one.address, verify=trusting, headers=headers, timeout=PATIENCE) as client:
        assert client.post(f"/{TASKS}/ListTasks", json={}).status_code == 200


@pytest.fixture
def many_files() -> Iterator[int]:
    """As many open files as the system lets this process have; how many connections fit, at most 1000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield min(1000, max(soft, wanted) - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_and_half_of_a_request(one: Daemon, many_files: int) -> None:
    """They cost a descriptor each, and nobody else notices."""
    one.start()
    with connections(one, many_files) as opened:
        head = f"POST /{TASKS}/ListTasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        for connection in opened[::2]:
            connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        assert Api(one.client()).call(f"{TASKS}/ListTasks")
    assert Api(one.client()).call(f"{TASKS}/ListTasks")


def test_connections_leave_descriptors_for_the_engine(one: Daemon) -> None:
    """Beyond the limit they are closed; what was begun goes on, and later ones are taken again."""
    command = ["bash", "-c", 'ulimit -n 128; exec "$@"', "-", *one.command()]
    one.start(command=command)
    api = Api(one.client())
    with connections(one, 100):
        assert (
            api.run("under-siege", "echo all the same")["status"]["phase"] == "TASK_EXECUTION_PHASE_SUCCEEDED"
        )
    wait_for(lambda: _answers(one), "new connections are taken")


@contextmanager
def connections(one: Daemon, count: int) -> Iterator[list[socket.socket]]:
    """Open connections that say nothing."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.socket(socket.AF_UNIX)
            opened.append(connection)
            connection.settimeout(PATIENCE)
            connection.connect(str(one.socket))
        yield opened
    finally:
        for connection in opened:
            connection.close()


def _answers(one: Daemon) -> bool:
    with one.client() as client, suppress(httpx.TransportError):
        return client.get("/healthz").status_code == 200
    return False


def test_an_idle_daemon_is_small(one: Daemon) -> None:
    """Under 80 MB with a hundred tasks: what is not needed is not imported."""
    process = one.start()
    api = Api(one.client())
    for number in range(100):
        api.task(f"task-{number}", "true")
    api.client.close()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert int(status["VmRSS"].split()[0]) < 80_000


def _certificate(home: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    shown, hidden = home / "certificate.pem", home / "key.pem"
    shown.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    hidden.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return shown, hidden
