"""Modules, styles and images of the pages: read once, under a name that changes with their content.

Knows files. Must not know pages. All have one digest, so that modules find each other beside themselves.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from phased.api.failures import Refusal
from phased.contract.error_code import ErrorCode

if TYPE_CHECKING:
    from starlette.requests import Request

PATH: Final = "/web/assets/{digest}/{name}"
_FOLDER: Final = Path(__file__).parent / "assets"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
_WORTH_PACKING: Final = 1024


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    packed: bytes | None
    """With gzip, where that is worth it."""
    media_type: str


class Bundle:
    """All of them."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        """Read them."""
        digest = hashlib.sha256()
        self._assets: dict[str, Asset] = {}
        for file in sorted(folder.iterdir()):
            if file.suffix in _TYPES:
                content = file.read_bytes()
                digest.update(file.name.encode() + b"\0" + content + b"\0")
                packed = gzip.compress(content, mtime=0) if len(content) >= _WORTH_PACKING else None
                self._assets[file.name] = Asset(content, packed, _TYPES[file.suffix])
        self.digest = digest.hexdigest()[:16]

    def address(self, name: str) -> str:
        """Where one of them is found. Raises KeyError for one that is not there: a template is wrong."""
        if name not in self._assets:
            raise KeyError(name)
        return f"/web/assets/{self.digest}/{name}"

    async def answer(self, request: Request) -> Response:
        """One of them; what an older page asks for is answered with what there is now, for this once."""
        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            raise Refusal(ErrorCode.NOT_FOUND, "cannot find that file of the page")
        current = request.path_params["digest"] == self.digest
        headers = {
            "cache-control": "public, max-age=31536000, immutable" if current else "no-store",
            "vary": "accept-encoding",
        }
        content = asset.content
        if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            headers["content-encoding"] = "gzip"
            content = asset.packed
        return Response(content, headers=headers, media_type=asset.media_type)
