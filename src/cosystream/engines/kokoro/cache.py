"""The rewritten graphs on disk, so that the rewriting (1.5 s, 140 MB) happens once per machine.

A cached file ends with the SHA-256 of what is before it: one that is cut short or damaged is recognised and made again.
It gets its name once it is complete, so processes that start together may all make it, and any of them stays.
"""

import hashlib
import uuid
from pathlib import Path
from typing import Literal

from cosystream.engines.kokoro.weights import SHA256, read_weights
from cosystream.errors import ConfigError

_FORMAT = 1
"""Counts changes to the rewriting."""

_SEAL = b"\x72\x4a\x0a\x06sha256\x12\x40"
"""What the digest's 64 digits follow: as an entry of the model's metadata in protobuf, so that the file stays ONNX."""
_SEAL_SIZE = len(_SEAL) + 64

Part = Literal["front", "generator"]


def cached_graph(part: Part, cache_dir: Path) -> Path:
    """An ONNX file in ``cache_dir``, made if it is not there.

    Raises ConfigError when it is not, and either the packages to make it or the permission to keep it are missing.
    """
    path = cache_dir / f"kokoro-{SHA256[:12]}-{part}-{_FORMAT}.onnx"
    if not _is_sound(path):
        graph = _build(part)
        try:
            _write(path, graph)
        except OSError as error:
            raise ConfigError(
                f"the embedded voice keeps 140 MB in {cache_dir}, which cannot be written: {error.strerror}"
            ) from error
    return path


def _is_sound(path: Path) -> bool:
    try:
        content = memoryview(path.read_bytes())
    except OSError:  # not there, or not to be read: making it again tells which
        return False
    return content[-_SEAL_SIZE:] == _seal(content[:-_SEAL_SIZE])


def _seal(graph: bytes | memoryview) -> bytes:
    return _SEAL + hashlib.sha256(graph).hexdigest().encode()


def _write(path: Path, graph: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("wb") as file:
            file.write(graph)
            file.write(_seal(graph))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _build(part: Part) -> bytes:
    try:
        from cosystream.engines.kokoro.rewriting.parts import build_front, build_generator
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error}; try: pip install -e '.[embedded]'") from error
    build = {"front": build_front, "generator": build_generator}[part]
    graph: bytes = build(read_weights()).SerializeToString()
    return graph
