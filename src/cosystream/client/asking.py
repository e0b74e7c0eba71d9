"""What both clients send: where to, with which key, and the fields of a request."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict
from urllib.parse import quote

import httpx
import msgspec

from cosystream.client.errors import ConnectionLost, Unreachable
from cosystream.errors import ConfigError, InvalidField, InvalidRequest, Stalled
from cosystream.types import Prompt

STREAM = "/synthesize/stream"
VOICES = "/v1/voices"
JSON = {"Content-Type": "application/json"}
STREAM_HEADERS = {**JSON, "Accept": "text/event-stream", "Accept-Encoding": "identity"}
IDLE_SECONDS = 4.0
"""For how long a connection is kept for the next request. Servers close theirs after 5: who is later, loses."""
LEARNING_SECONDS = 70.0
"""For how long a server may be silent at least while it learns a voice: it gives up after 60."""


class Options(TypedDict, total=False):
    """How to say it. What is left out, or None, is left to the server."""

    speaker: str | None
    instruction: str | None
    """Style or dialect, for models that follow one."""
    prompt: Prompt | None
    """A recording to imitate."""
    speed: float | None
    seed: int | None
    sample_rate: int | None
    normalize: bool | None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how patient to be with it."""

    url: str
    timeout: float
    key: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, key: str | None, timeout: float) -> "Address":
        """``http://host:port`` or ``https``, with a path if the server has one. Raises ConfigError."""
        try:
            parsed = httpx.URL(url if "://" in url else f"http://{url}")
        except httpx.InvalidURL as error:
            raise ConfigError(f"{url}: {error}; http://localhost:50000 would do") from None
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ConfigError(f"{url} is no address of a server; http://localhost:50000 would do")
        if parsed.userinfo:
            raise ConfigError("a URL with a password would show in every error; send an API key instead")
        if not 0 < timeout < math.inf:
            raise ConfigError(f"timeout: is {timeout}; a number of seconds above 0 would do")
        return cls(str(parsed).rstrip("/"), timeout, _sendable(key))

    @property
    def connection(self) -> dict[str, Any]:
        """What httpx is to know: as many connections as there are streams, and silence that is too long."""
        return {
            "base_url": self.url,
            "headers": {} if self.key is None else {"Authorization": f"Bearer {self.key}".encode()},
            "timeout": self.timeout,
            "limits": httpx.Limits(keepalive_expiry=IDLE_SECONDS),
        }

    @property
    def learning_seconds(self) -> float:
        """How long a silence is too long while a voice is learnt."""
        return max(self.timeout, LEARNING_SECONDS)

    @contextmanager
    def in_our_words(self, seconds: float | None = None) -> Iterator[None]:
        """Make errors of the connection meanwhile into ours. ``seconds`` of silence are too long, or ``timeout``."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            words = f"{self.url}: nobody answers ({_words(error)}); cosystream serve starts a server"
            raise Unreachable(words) from error
        except httpx.TimeoutException as error:
            raise Stalled(f"{self.url}: not a byte in {seconds or self.timeout:g} s") from error
        except (httpx.HTTPError, httpx.StreamClosed) as error:
            raise ConnectionLost(f"{self.url}: the connection broke off ({_words(error)})") from error


def request_path(request_id: str) -> str:
    return f"/requests/{quote(request_id, safe='')}"


def voice_path(name: str) -> str:
    return f"{VOICES}/{quote(name, safe='')}"


def body_of(text: str, options: Options) -> bytes:
    """The fields as JSON; audio is to come in base64, a third shorter than hex. Raises InvalidField, InvalidRequest."""
    if not isinstance(text, str):
        raise InvalidField("text", f"is {type(text).__name__}; a str would do")
    fields: dict[str, object] = {"text": text, "encoding": "base64", **options}
    if fields.get("format") is not None:
        raise InvalidField("format", "is always PCM here; leave it out, and Audio.wav is a whole WAV file")
    prompt = fields.pop("prompt", None)
    if prompt is not None:
        fields |= _recording(prompt)
    return _as_json(fields)


def voice_body(name: str, prompt: Prompt) -> bytes:
    """The fields of a new voice as JSON. Raises InvalidField, InvalidRequest."""
    return _as_json({"name": name, **_recording(prompt)})


def _sendable(key: str | None) -> str | None:
    """``key`` as a header can carry it. Raises ConfigError, which does not show it."""
    key = None if key is None else key.strip()
    if key and not key.isprintable():
        raise ConfigError("api_key: holds a character that cannot be sent, such as a line break; a key alone would do")
    return key or None


def _recording(prompt: object) -> dict[str, object]:
    """Whatever callers without a type checker have given for a ``Prompt``. Raises InvalidField."""
    if not isinstance(prompt, Prompt):
        raise InvalidField("prompt", f"is {type(prompt).__name__}; Prompt(audio, text) would do")
    if not isinstance(prompt.audio, bytes):
        raise InvalidField("prompt", f"has audio that is {type(prompt.audio).__name__}; a file's bytes would do")
    return {"prompt_wav": prompt.audio, "prompt_text": prompt.text}


def _as_json(fields: dict[str, object]) -> bytes:
    for name, value in fields.items():
        if isinstance(value, float) and not math.isfinite(value):  # JSON has only null for it, which leaves it out
            raise InvalidField(name, f"is {value}; a finite number would do")
    try:
        return msgspec.json.encode(fields)
    except UnicodeEncodeError:
        raise InvalidRequest("a field holds half a character (a lone surrogate); send UTF-8") from None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
