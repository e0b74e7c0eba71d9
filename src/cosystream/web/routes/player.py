"""The pages for people: the player at ``/``, the interface at ``/docs``, and the files that both are made of.

Plain functions, which Starlette runs on a thread: they read from the disk.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import PurePath

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cosystream.web.operations import Operation, operation

HTML = "text/html"
FOLDER = resources.files("cosystream.web") / "player"
MEDIA_TYPES = {".html": HTML, ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "media-src": "blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
"""The pages ask nobody but this server, and run nothing but their own files; ``blob:`` is a recording on its way."""
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(f"{what} {where}" for what, where in POLICY.items()),
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    media_type: str
    etag: str


@operation(Operation("The player: a page to type into and to listen with", answers={HTML: None}, open=True))
def player(request: Request) -> Response:
    return _answer(request, "index.html")


@operation(Operation("This interface, for people", answers={HTML: None}, open=True))
def docs(request: Request) -> Response:
    return _answer(request, "docs.html")


def file(request: Request) -> Response:
    """Not described: which files there are is nobody's business but the pages'."""
    return _answer(request, request.path_params["name"])


def _answer(request: Request, name: str) -> Response:
    found = _files().get(name)
    if found is None:
        raise HTTPException(404)
    headers = HEADERS | {"ETag": found.etag}
    if found.etag in _etags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(found.content, headers=headers, media_type=found.media_type)


@cache
def _files() -> Mapping[str, File]:
    """By name: only what is listed here can be asked for."""
    return {
        item.name: _read(item.read_bytes(), MEDIA_TYPES[suffix])
        for item in FOLDER.iterdir()
        if (suffix := PurePath(item.name).suffix) in MEDIA_TYPES
    }


def _read(content: bytes, media_type: str) -> File:
    return File(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')


def _etags(header: str) -> list[str]:
    return [etag.strip().removeprefix("W/") for etag in header.split(",")]
