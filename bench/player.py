"""One emulated listener: reads an answer's events as they arrive, and plays them in real time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from bench.events import Event, EventReader
from bench.playback import PlaybackClock

AudioHandler = Callable[[float, str], None]
"""Told when audio arrived, in seconds, and the audio in hex."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a listener met with."""

    text: str
    status: int
    """Of HTTP; 0 without an answer."""
    retry_after_seconds: float | None
    first_audio_seconds: float | None
    """From the request, connecting included."""
    audio_seconds: float
    chunks: int
    underruns: int
    starved_seconds: float
    rtf: float | None
    """As the server reports it."""
    problem: str | None
    """What an answer lacks that began as speech; None if it is whole, or was refused with a status."""

    @property
    def served(self) -> bool:
        return self.status == 200 and self.problem is None

    @property
    def refused(self) -> bool:
        """Told to come back later, and when."""
        return self.status == 503 and self.retry_after_seconds is not None


class Player:
    """Fed with an answer piece by piece. Every ``now`` is a reading of one clock, in seconds."""

    def __init__(self, text: str, now: float, on_audio: AudioHandler | None = None) -> None:
        self._text = text
        self._asked = now
        self._on_audio = on_audio
        self._reader = EventReader()
        self._clock = PlaybackClock()
        self._status = 0
        self._retry_after_seconds: float | None = None
        self._first_audio: float | None = None
        self._sample_rate = 0
        self._chunks = 0
        self._samples = 0
        self._done: dict[str, Any] | None = None
        self._error: str | None = None

    def answered(self, status: int, retry_after: str | None) -> None:
        self._status = status
        self._retry_after_seconds = None if retry_after is None else float(retry_after)

    def body(self, now: float, piece: bytes) -> None:
        if self._status == 200:
            for event in self._reader.feed(piece):
                self._event(now, event)

    def heard(self) -> Heard:
        return Heard(
            text=self._text,
            status=self._status,
            retry_after_seconds=self._retry_after_seconds,
            first_audio_seconds=None if self._first_audio is None else self._first_audio - self._asked,
            audio_seconds=self._clock.audio_seconds,
            chunks=self._chunks,
            underruns=self._clock.underruns,
            starved_seconds=self._clock.starved_seconds,
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
        if self._first_audio is None:
            self._first_audio = now
        if data["index"] != self._chunks:
            self._error = f"event {data['index']} came where {self._chunks} was due"
        samples = len(data["audio"]) // 4  # two bytes each, two digits a byte
        self._chunks += 1
        self._samples += samples
        self._clock.audio(now, samples / self._sample_rate)
        if self._on_audio is not None:
            self._on_audio(now, data["audio"])

    def _problem(self) -> str | None:
        if self._status != 200:
            return None if self._status else "no answer"
        if self._error is not None:
            return self._error
        if self._done is None:
            return "the answer breaks off"
        sent = self._done["chunks"], self._done["samples"]
        if sent != (self._chunks, self._samples):
            return f"{sent[0]} chunks of {sent[1]} samples were sent, {self._chunks} of {self._samples} arrived"
        return None
