"""A listener over HTTP: reads an answer's events as they arrive, and plays them in real time."""

from collections.abc import Callable
from typing import Any

import orjson

from cosystream.bench.events import Event, EventReader
from cosystream.bench.heard import Heard, Listener

AudioHandler = Callable[[float, str], None]
"""Told when audio arrived, in seconds, and the audio in hex."""


class Player:
    """Fed with an answer piece by piece. Every ``now`` is a reading of one clock, in seconds."""

    def __init__(self, text: str, now: float, on_audio: AudioHandler | None = None) -> None:
        self._listener = Listener(text, now)
        self._on_audio = on_audio
        self._reader = EventReader()
        self._status = 0
        self._retry_after_seconds: float | None = None
        self._words = b""
        """What an answer says that is not speech."""
        self._sample_rate = 0
        self._samples = 0
        self._done: dict[str, Any] | None = None
        self._error: str | None = None

    def answered(self, status: int, retry_after: str | None) -> None:
        self._status = status
        is_number = retry_after is not None and retry_after.isdecimal()  # a proxy may send a date
        self._retry_after_seconds = float(retry_after or 0) if is_number else None

    def body(self, now: float, piece: bytes) -> None:
        if self._status != 200:
            self._words += piece
            return
        for event in self._reader.feed(piece):
            self._event(now, event)

    def gave_up(self, problem: str) -> None:
        """The listener has left, and why."""
        self._error = problem

    def heard(self) -> Heard:
        return self._listener.heard(
            self._status,
            retry_after_seconds=self._retry_after_seconds,
            rtf=None if self._done is None else self._done["rtf"],
            problem=self._problem(),
        )

    def _event(self, now: float, event: Event) -> None:
        match event.name:
            case "audio":
                self._audio(now, orjson.loads(event.data))
            case "start":
                self._sample_rate = orjson.loads(event.data)["sample_rate"]
            case "done":
                self._done = orjson.loads(event.data)
            case "error":
                self._error = orjson.loads(event.data)["error"]["message"]

    def _audio(self, now: float, data: dict[str, Any]) -> None:
        if data["index"] != self._listener.chunks:
            self._error = f"event {data['index']} came where {self._listener.chunks} was due"
        samples = len(data["audio"]) // 4  # two bytes each, two digits a byte
        self._samples += samples
        self._listener.audio(now, samples / self._sample_rate)
        if self._on_audio is not None:
            self._on_audio(now, data["audio"])

    def _problem(self) -> str | None:
        if self._error is not None:
            return self._error
        if self._status == 0:
            return "no answer"
        if self._status != 200:
            is_refusal = self._status == 503 and self._retry_after_seconds is not None
            return None if is_refusal else f"status {self._status}{_message(self._words)}"
        if self._done is None:
            return "the answer breaks off"
        sent, arrived = (self._done["chunks"], self._done["samples"]), (self._listener.chunks, self._samples)
        if sent != arrived:
            return f"{sent[0]} chunks of {sent[1]} samples were sent, {arrived[0]} of {arrived[1]} arrived"
        return None


def _message(body: bytes) -> str:
    """What an error says, to stand behind its status; nothing if it is not one of ours."""
    try:
        return f": {orjson.loads(body)['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return ""
