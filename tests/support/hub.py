"""A hub on loopback with one small repository: it lists, redirects large files and serves any range of them."""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LARGE_BYTES = 1000
"""Files from this size on are stored apart, behind a redirect, and known by their SHA-256."""


@dataclass
class FakeHub:
    """What is on the hub, how it shall fail, and what it has been asked."""

    repository: str
    files: dict[str, bytes]
    endpoint: str = ""
    storage: str = ""
    """Where the large files are: another host, by its name."""
    cut_at: dict[str, int] = field(default_factory=dict)
    """By path: before which byte the connection ends. The next answer is that the hub is away."""
    altered: dict[str, bytes] = field(default_factory=dict)
    """By path: what is sent in the place of what is listed."""
    listed_bytes: dict[str, int] = field(default_factory=dict)
    """By path: what the list says of its size, if not the truth."""
    statuses: list[int] = field(default_factory=list)
    """What the answers to come shall be instead."""
    knows_ranges: bool = True
    needs_token: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and range of each file asked for where it is stored."""
    tokens: set[tuple[str, str]] = field(default_factory=set)
    """First part of the address and token of each request."""
    agents: set[str] = field(default_factory=set)
    """What those who asked said of themselves."""

    def environ(self) -> dict[str, str]:
        return {"HF_ENDPOINT": self.endpoint, "MODELSCOPE_ENDPOINT": self.endpoint}

    def huggingface_info(self) -> dict[str, Any]:
        siblings: list[dict[str, Any]] = []
        for path, content in self.files.items():
            git_id = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
            sibling = {"rfilename": path, "size": self.listed_bytes.get(path, len(content)), "blobId": git_id}
            if len(content) >= LARGE_BYTES:
                lfs = {"sha256": sha256(content), "size": len(content), "pointerSize": 130}
                sibling |= {"blobId": "1" * 40, "lfs": lfs}
            siblings.append(sibling)
        return {"id": self.repository, "sha": COMMIT, "siblings": siblings}

    def modelscope_files(self) -> dict[str, Any]:
        files = [
            {"Path": path, "Size": len(content), "Type": "blob", "Sha256": sha256(content)}
            for path, content in self.files.items()
        ]
        return {"Code": 200, "Success": True, "Data": {"Files": [{"Path": "asset", "Size": 0, "Type": "tree"}, *files]}}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def running_hub(repository: str, files: Mapping[str, bytes]) -> Iterator[FakeHub]:
    """A hub that answers until the context ends."""
    hub = FakeHub(repository, dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, hub)

        def log_message(self, *args: Any) -> None:
            pass

    with _serving(Handler) as hub.endpoint, _serving(Handler) as storage:
        hub.storage = f"{storage}/storage"
        yield hub


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Where ``handler`` answers: an origin of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _answer(request: BaseHTTPRequestHandler, hub: FakeHub) -> None:
    url = urlsplit(request.path)
    path, query = unquote(url.path), {name: values[0] for name, values in parse_qs(url.query).items()}
    token = request.headers.get("Authorization", "")
    hub.tokens.add((path.split("/")[1], token))
    hub.agents.add(request.headers.get("User-Agent", ""))
    resolved = path.removeprefix(f"/{hub.repository}/resolve/{COMMIT}/")
    modelscope = f"/api/v1/models/{hub.repository}/repo"
    if hub.statuses:
        _send(request, hub.statuses.pop(0), b"")
    elif hub.needs_token and token != f"Bearer {hub.needs_token}" and not path.startswith("/storage/"):
        _send(request, 401, b"")
    elif path == f"/api/models/{hub.repository}" and query.get("blobs") == "true":
        _send(request, 200, json.dumps(hub.huggingface_info()).encode())
    elif path == f"{modelscope}/files" and query.get("Recursive") == "True":
        _send(request, 200, json.dumps(hub.modelscope_files()).encode())
    elif path == modelscope and query.get("FilePath") in hub.files:
        _send_file(request, hub, query["FilePath"])
    elif resolved in hub.files and len(hub.files[resolved]) >= LARGE_BYTES:
        _send(request, 302, b"", {"Location": f"{hub.storage}/{quote(resolved)}"})
    elif resolved in hub.files:
        _send_file(request, hub, resolved)
    elif path.removeprefix("/storage/") in hub.files:
        _send_file(request, hub, path.removeprefix("/storage/"))
    else:
        _send(request, 404, b"")


def _send_file(request: BaseHTTPRequestHandler, hub: FakeHub, path: str) -> None:
    span = request.headers.get("Range", "")
    hub.asked.append((path, span))
    content = hub.altered.get(path, hub.files[path])
    start = int(span.removeprefix("bytes=").removesuffix("-")) if span and hub.knows_ranges else 0
    end = hub.cut_at.pop(path, len(content))
    if end < len(content):
        hub.statuses = [503]
    headers = {}
    if span and hub.knows_ranges:
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    _send(request, 206 if span and hub.knows_ranges else 200, content[start:end], headers, length=len(content) - start)


def _send(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    length: int | None = None,
) -> None:
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body) if length is None else length))
    request.end_headers()
    request.wfile.write(body)
