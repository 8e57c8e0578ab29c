"""A registry of one image, on this machine: what an engine needs to pull it, and a count of how often it did.

Source: the distribution specification of the Open Container Initiative, its part on pulling. An engine takes
plain HTTP from 127.0.0.0/8.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.docker.build import IMAGE, docker

_TYPE: Final = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG: Final = "application/vnd.docker.container.image.v1+json"
_LAYER: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"


class Registry:
    """It has `box:1`, which is the image of the tests under another digest."""

    def __init__(self, port: int) -> None:
        self.image = f"127.0.0.1:{port}/box:1"
        self.pulls = 0
        """How often a layer was asked for."""
        self.asked = 0
        """How often the manifest was."""


@contextmanager
def serve_registry() -> Iterator[Registry]:
    """Serve it, and remove from the engine afterwards what was pulled."""
    blobs, manifest = _contents()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Any of the three kinds of address; an engine asks with HEAD too."""
            digest = self.path.rpartition("/")[2]
            if self.path == "/v2/":
                self._answer(b"{}", "application/json")
            elif "/manifests/" in self.path:
                registry.asked += 1
                self._answer(manifest, _TYPE)
            elif digest in blobs:
                data, kind = blobs[digest]
                registry.pulls += kind == _LAYER
                self._answer(data, kind)
            else:
                self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the server's name for it

        def _answer(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Docker-Content-Digest", _digest(data))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        registry = Registry(server.server_port)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield registry
        finally:
            server.shutdown()
            thread.join()
            if docker("image", "ls", "-q", registry.image):
                docker("image", "rm", "--force", registry.image)


def _contents() -> tuple[dict[str, tuple[bytes, str]], bytes]:
    with TemporaryDirectory(prefix="phased-registry-") as place:
        archive = Path(place, "image.tar")
        docker("save", "--output", str(archive), IMAGE)
        with tarfile.open(archive) as file:

            def read(name: str) -> bytes:
                found = file.extractfile(name)
                assert found is not None
                return found.read()

            (facts,) = json.loads(read("manifest.json"))
            config = json.loads(read(facts["Config"]))
            layers = [gzip.compress(read(name), compresslevel=1) for name in facts["Layers"]]
    config["config"]["Labels"] = {"of": "the registry"}  # so that it is another image
    data = json.dumps(config).encode()
    blobs = {_digest(data): (data, _CONFIG), **{_digest(one): (one, _LAYER) for one in layers}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": _TYPE,
        "config": _described(data, _CONFIG),
        "layers": [_described(one, _LAYER) for one in layers],
    }
    return blobs, json.dumps(manifest).encode()


def _described(data: bytes, kind: str) -> dict[str, object]:
    return {"mediaType": kind, "size": len(data), "digest": _digest(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
